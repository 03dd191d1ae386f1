"""Files that must be refused, each with one paragraph that names the file, what it is and what to do."""

import pickle
import struct

import pytest
import torch
from lightquant.errors import CheckpointError
from lightquant.loaders.files import headers_in, open_pickled, opener
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
