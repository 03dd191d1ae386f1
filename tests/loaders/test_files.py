"""Files that must be refused, each with one paragraph that names the file, what it is and what to do."""

import json
import pickle
import struct

import pytest
import torch
from lightquant.errors import CheckpointError
from lightquant.loaders import files as module
from lightquant.loaders import storage
from lightquant.loaders.files import headers_in, open_pickled, opener
from lightquant.loaders.identity import identify_path
from safetensors.torch import load_file, save_file

open_file = opener(lambda path: (load_file(path), {}))


class Harmful:
    def __reduce__(self):
        return (open, ("/tmp/lightquant-was-here", "w"))


def refusal(path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_file(str(path))
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_a_pth_that_carries_code_is_refused_and_not_run(tmp_path):
    import os

    torch.save({"weight": torch.ones(2), "evil": Harmful()}, tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"evil": Harmful()}))
    for name in ("evil.pth", "raw.pth"):
        text = refusal(tmp_path / name)
        assert "run code" in text
        assert "trust" in text
    assert not os.path.exists("/tmp/lightquant-was-here")


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("keep", [0, 7, 60, -1])
def test_truncated_and_empty_files(tmp_path, name, keep):
    path = tmp_path / name
    tensors = {"a": torch.arange(64.0), "b": torch.arange(64.0)}
    save_file(tensors, path) if name.endswith("safetensors") else torch.save(tensors, path)
    path.write_bytes(path.read_bytes()[:keep])
    assert "fetch it again" in refusal(path)


def test_a_pth_without_its_header_is_not_mistaken_for_code(tmp_path):
    path = tmp_path / "text.pth"
    path.write_text("<html>404 not found</html>")
    refusal(path)


def test_foreign_files(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(64))
    assert "GGUF loader" in refusal(tmp_path / "model.gguf")
    (tmp_path / "notes.txt").write_text("hello")
    assert "neither .safetensors nor .pth" in refusal(tmp_path / "notes.txt")
    assert "no such file" in refusal(tmp_path / "gone.pth")
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    assert "dictionary of tensors" in refusal(tmp_path / "list.pth")
    torch.save({"weight": torch.ones(2), "epoch": 3}, tmp_path / "mixed.pth")
    assert "epoch" in refusal(tmp_path / "mixed.pth")
    (tmp_path / "wild.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + bytes(64))
    assert "not a safetensors file" in refusal(tmp_path / "wild.safetensors")
    (tmp_path / "junk.bin").write_bytes(b"}" * 50)
    assert "fetch it again" in refusal(tmp_path / "junk.bin")
    (tmp_path / "list.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]")
    assert "header" in refusal(tmp_path / "list.safetensors")


def with_header(path, header, content: bytes = bytes(64)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


def entry(dtype: object = "F32", shape: object = (2, 2), offsets: object = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000, b'{"a":' * 100_000, 5, [], {"a": 1}, {"a": []}, {"a": {}}, {"a": entry(["F32"])}, {"a": entry({})}, {"a": entry(shape=4)},
        {"a": entry(shape=["2"])}, {"a": entry(shape=[-2, -2])}, {"a": entry(shape=[1.5])}, {"a": entry(shape=None)}, {"a": entry(shape=[True])},
        {"a": entry(offsets=["0", 16])}, {"a": entry(offsets=[0])}, {"a": entry(offsets=[16, 0])}, {"a": entry(offsets=[-16, 0])},
        {"a": entry(offsets=[0, 1e999])}, {"a": entry(), "__metadata__": 3}, {"a": entry(), "__metadata__": {"format": 3}},
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_called_damaged_and_is_no_candidate(tmp_path, header):
    path = with_header(tmp_path / "odd.safetensors", header)
    assert "fetch it again" in refusal(path)
    with pytest.raises(CheckpointError):
        headers_in(str(path))
    assert identify_path(str(path)) is None


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": entry(shape=[2, 3])}, "gives a 16 bytes, where its shape takes 24"),
        ({"a": entry("BF16")}, "gives a 16 bytes, where its shape takes 8"),
        ({"a": entry(), "b": entry(offsets=[12, 28])}, "has the bytes of b begin within those of another tensor"),
        ({"a": entry(), "b": entry()}, "has the bytes of b begin within those of another tensor"),
    ],
)
def test_bytes_that_do_not_fit_the_shapes_or_each_other_are_refused(tmp_path, header, said):
    path = with_header(tmp_path / "odd.safetensors", header)
    assert said in refusal(path)
    with pytest.raises(CheckpointError, match=said):
        headers_in(str(path))


def test_empty_tensors_and_dtypes_that_are_not_known_are_no_damage(tmp_path):
    header = {"a": entry(), "none": entry(shape=[0, 4], offsets=[16, 16]), "e8": entry("F8_E8M0", [8], [16, 24]), "f4": entry("F4", [32], [24, 40])}
    found = headers_in(str(with_header(tmp_path / "odd.safetensors", header)))
    assert {key: (each.unknown, each.nbytes) for key, each in found.items()} == {
        "a": ("", 16), "none": ("", 0), "e8": ("F8_E8M0", 8), "f4": ("F4", 16),
    }  # fmt: skip


def test_a_header_is_not_read_that_is_longer_than_safetensors_has_it(tmp_path):
    path = tmp_path / "long.safetensors"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", 100_000_001))
        file.truncate(8 + 100_000_001)  # of no bytes on the disk
    assert "not a safetensors file" in refusal(path)


def test_a_pth_of_tensors_without_names_is_refused(tmp_path):
    torch.save({0: torch.ones(2), 1: torch.ones(2)}, tmp_path / "numbers.pth")
    assert "no tensors with a name: 0, 1" in refusal(tmp_path / "numbers.pth")
    assert identify_path(str(tmp_path / "numbers.pth")) is None


def test_a_weight_of_no_dimensions_is_no_candidate(tmp_path, floats):
    tensors = {**floats["dit"], "blocks.0.ffn.0.weight": torch.tensor(1, dtype=torch.int8), "blocks.0.ffn.0.weight_scale": torch.tensor(1.0)}
    save_file(tensors, tmp_path / "odd.safetensors")
    assert identify_path(str(tmp_path / "odd.safetensors")).formats == ()


def test_good_files_open_and_old_ones_too(tmp_path):
    tensors = {"a": torch.arange(6.0), "q": torch.ones(2, 2).to(torch.float8_e4m3fn), "i": torch.ones(2, dtype=torch.int8)}
    save_file(tensors, tmp_path / "new.safetensors")
    torch.save(tensors, tmp_path / "new.pth")
    torch.save({"model": {"a": tensors["a"]}, "step": 3}, tmp_path / "nested.pth")
    torch.save({"a": tensors["a"]}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.safetensors", "new.pth"):
        seen = {key: (header.dtype, header.shape, header.nbytes) for key, header in headers_in(str(tmp_path / name)).items()}
        assert seen == {key: (tensor.dtype, tuple(tensor.shape), tensor.nbytes) for key, tensor in tensors.items()}
        assert torch.equal(open_file(str(tmp_path / name))[0]["a"], tensors["a"])
    for name in ("nested.pth", "old.pth"):
        assert torch.equal(open_pickled(str(tmp_path / name))["a"], tensors["a"])


def test_what_the_system_forbids_is_said(tmp_path, monkeypatch):
    """As chmod 000 does, but for the superuser, who may read anything."""

    def forbidden(*path):
        raise PermissionError(13, "Permission denied", *path[:1])

    (tmp_path / "mine.safetensors").write_bytes(bytes(64))
    monkeypatch.setattr(module, "open", forbidden, raising=False)
    assert "Permission denied. See that it may be read" in refusal(tmp_path / "mine.safetensors")
    monkeypatch.setattr(storage.os, "listdir", forbidden)
    with pytest.raises(CheckpointError, match=r"Permission denied. See that it may be read"):
        storage.storage_of(str(tmp_path))
