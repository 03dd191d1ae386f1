"""Converting whole checkpoints: what is written equals what LightX2V's formulas and layouts give, and nothing half-done ever has its name."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import small_models
import torch
from lightquant.bridge.folders import open_file
from lightquant.convert import run as module
from lightquant.convert import source as reading
from lightquant.convert import writer as writing
from lightquant.convert.partial import discard
from lightquant.convert.plan import plan_of
from lightquant.convert.run import run
from lightquant.convert.settings import Settings
from lightquant.convert.source import Source
from lightquant.errors import ConvertError
from lightquant.formats import FORMATS, INT4_MARLIN, PLAIN, QuantizedWeight, repacked
from lightquant.loaders import read
from lightquant.loaders.scaled import bare_name
from lightquant.loaders.storage import headers
from safetensors.torch import load_file

INT8 = Settings("int8-channel", dtype="fp32")


def parsed(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """A safetensors file by an independent reader: key -> dtype, shape, bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    ends = sorted(entry["data_offsets"] for entry in header.values())
    assert [begin for begin, _ in ends] == [0, *(end for _, end in ends[:-1])], "no gaps"
    assert 8 + length + ends[-1][1] == len(content)
    data = content[8 + length :]
    return {key: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for key, entry in header.items()}


@pytest.fixture
def source(tmp_path, floats) -> Path:
    return small_models.save(floats["dit"], tmp_path / "float.safetensors")


def convert(source: Path, target: Path, settings: Settings = INT8, **options) -> None:
    opened = Source(str(source))
    run(opened, plan_of(str(source), opened.headers, settings, target.stem), str(target), **options)


def test_int8_files_have_lightx2vs_keys_shapes_dtypes_and_codes(source, tmp_path, floats):
    convert(source, tmp_path / "out.safetensors")
    found = parsed(tmp_path / "out.safetensors")
    expected = {}
    for key, tensor in floats["dit"].items():
        values = tensor.numpy()
        if values.ndim == 2 and key.split(".")[2:3] and key.split(".")[2] in ("self_attn", "cross_attn", "ffn"):
            scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), np.float32(1e-5)) / np.float32(127)
            codes = np.clip(np.round(values / scale), -128, 127).astype(np.int8)
            expected[key] = ("I8", list(codes.shape), codes.tobytes())
            expected[key + "_scale"] = ("F32", list(scale.shape), scale.astype(np.float32).tobytes())
        else:
            expected[key] = ("F32", list(values.shape), values.tobytes())
    assert found.keys() == expected.keys()
    assert sum(entry[0] == "I8" for entry in found.values()) == 20
    assert [key for key in expected if found[key] != expected[key]] == []


@pytest.mark.parametrize("format_name", list(FORMATS))
@pytest.mark.parametrize("component", ["dit", "t5", "clip"])
def test_every_format_of_every_component_loads_with_what_the_format_stores(tmp_path, floats, format_name, component):
    source = small_models.save(floats[component], tmp_path / "float.pth")
    convert(source, tmp_path / "out.safetensors", Settings(format_name))
    small_models.save(small_models.quantized(floats[component], component, format_name), tmp_path / "expected.safetensors")
    written = read(str(tmp_path / "out.safetensors"), component, open_file)
    expected = read(str(tmp_path / "expected.safetensors"), component, open_file)
    assert written.format == expected.format == format_name
    assert written.weights.keys() == expected.weights.keys()
    for name, weight in written.weights.items():
        weight = repacked(format_name, weight, (PLAIN,))  # int4 is written in Marlin's packing, as LightX2V reads it
        assert all(torch.equal(part.float(), other.float()) for part, other in zip(weight, expected.weights[name], strict=True))
    dtypes = {tensor.dtype for tensor in written.tensors.values()}
    assert dtypes == {torch.float16 if component == "clip" else torch.bfloat16}


@pytest.mark.parametrize(("layout", "save"), [("split", small_models.save_split), ("chunked", small_models.save_chunked)])
def test_layouts_are_lightx2vs(source, tmp_path, floats, layout, save):
    convert(source, tmp_path / "converted", Settings("int8-channel", layout=layout, dtype="fp32"))
    save(small_models.quantized(floats["dit"], "dit", "int8-channel"), tmp_path / "expected")
    names = sorted(file.name for file in (tmp_path / "expected").iterdir())
    assert sorted(file.name for file in (tmp_path / "converted").iterdir()) == names
    for name in names:
        if name.endswith(".safetensors"):
            ours, theirs = load_file(tmp_path / "converted" / name), load_file(tmp_path / "expected" / name)
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    index = "diffusion_pytorch_model.safetensors.index.json"
    ours, theirs = (json.loads((tmp_path / folder / index).read_text()) for folder in ("converted", "expected"))
    assert ours["weight_map"] == theirs["weight_map"]
    assert ours["metadata"]["total_size"] == sum(file.stat().st_size for file in (tmp_path / "converted").glob("*.safetensors"))


def test_lightx2vs_marlin_files_carry_the_scratch_memory_it_asks_for(source, tmp_path):
    convert(source, tmp_path / "out.safetensors", Settings("int4-g128"))
    found = parsed(tmp_path / "out.safetensors")
    assert found["blocks.0.ffn.0.weight"][:2] == ("I32", [16, 1024])
    assert found["blocks.0.ffn.0.weight_scale"][:2] == ("F16", [2, 512])
    assert found["blocks.0.ffn.0.weight_workspace"][:2] == ("I32", [64])


def test_a_pth_is_written_for_lightx2vs_encoders(tmp_path, floats):
    source = small_models.save(floats["t5"], tmp_path / "float.pth")
    convert(source, tmp_path / "t5.pth", Settings("int8-channel", dtype="fp32"))
    written, expected = torch.load(tmp_path / "t5.pth", weights_only=True), small_models.quantized(floats["t5"], "t5", "int8-channel")
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[key], expected[key]) for key in written)
    assert [file.name for file in tmp_path.iterdir() if "partial" in file.name] == []


def test_sources_in_16_bits_are_computed_in_fp32(tmp_path, floats):
    half = {key: tensor.bfloat16() for key, tensor in floats["dit"].items()}
    convert(small_models.save(half, tmp_path / "half.safetensors"), tmp_path / "out.safetensors")
    written = load_file(tmp_path / "out.safetensors")
    expected = FORMATS["int8-channel"].quantize(half["blocks.0.ffn.0.weight"].float())
    assert torch.equal(written["blocks.0.ffn.0.weight"], expected.data)
    assert torch.equal(written["blocks.0.ffn.0.weight_scale"], expected.scale)


def test_kept_layers_stay_float(source, tmp_path):
    convert(source, tmp_path / "out.safetensors", Settings("int8-channel", keep=("blocks.0.*", "*.ffn.2.weight")))
    found = parsed(tmp_path / "out.safetensors")
    assert {key for key, entry in found.items() if entry[0] == "I8"} == {
        *(f"blocks.1.{kind}.{letter}.weight" for kind in ("self_attn", "cross_attn") for letter in "qkvo"), "blocks.1.ffn.0.weight",
    }  # fmt: skip


def test_shards_prefixes_and_the_text_half_of_clip(tmp_path, floats):
    prefixed = {f"model.diffusion_model.{key}": tensor for key, tensor in floats["dit"].items()}
    keys = list(prefixed)
    for number, part in enumerate((keys[::2], keys[1::2]), 1):
        small_models.save({key: prefixed[key] for key in part}, tmp_path / "shards" / f"model-0000{number}-of-00002.safetensors")
    opened = Source(str(tmp_path / "shards"))
    run(opened, plan_of("shards", opened.headers, INT8, "out", bare_name), str(tmp_path / "out.safetensors"))
    expected = small_models.quantized(floats["dit"], "dit", "int8-channel")
    written = load_file(tmp_path / "out.safetensors")
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[key], expected[key]) for key in written)
    clip = Source(str(small_models.save({**floats["clip"], "textual.head.weight": torch.ones(4, 4)}, tmp_path / "clip.safetensors")))
    plan = plan_of("clip", clip.headers, INT8, "out")
    assert plan.left_out == ("textual.head.weight",)
    assert len([output for output in plan.outputs if output.format]) == 12


def before_and_after(target: Path) -> bytes:
    target.write_bytes(b"what was there before")
    return target.read_bytes()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("problem", [Killed, KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
@pytest.mark.parametrize("moment", [1, 30, 60])
def test_whatever_stops_it_leaves_what_was_there(source, tmp_path, problem, moment):
    target = tmp_path / "out.safetensors"
    before = before_and_after(target)
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == moment:
            raise problem

    with pytest.raises(ConvertError if isinstance(problem, OSError) else problem):
        convert(source, target, force=True, progress=stop)
    assert target.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["float.safetensors", "out.safetensors"]


def test_a_folder_is_replaced_as_a_whole(source, tmp_path, monkeypatch):
    target, split = tmp_path / "out", Settings("int8-channel", layout="split")
    convert(source, target, Settings("fp8-channel", layout="chunked"))
    before = sorted(file.name for file in target.iterdir())
    with pytest.raises(ConvertError, match="is there already"):
        convert(source, target, split)
    real = module.os.rename

    def fails(old: str, new: str) -> None:
        if old.endswith(".partial"):
            raise OSError(13, "Permission denied")
        real(old, new)

    monkeypatch.setattr(module.os, "rename", fails)
    with pytest.raises(ConvertError, match="Permission denied"):
        convert(source, target, split, force=True)
    assert sorted(file.name for file in target.iterdir()) == before
    monkeypatch.setattr(module.os, "rename", real)
    convert(source, target, split, force=True)
    assert (target / "block_1.safetensors").exists()
    assert not (target / before[-1]).exists()


def test_a_folder_that_a_killed_run_had_moved_has_its_name_back(source, tmp_path, caplog):
    target, split = tmp_path / "out", Settings("int8-channel", layout="split")
    convert(source, target, split)
    target.rename(tmp_path / "out.replaced")
    with pytest.raises(ConvertError, match="is there already"):
        convert(source, target, split)
    assert "which has its name back now" in caplog.text
    assert (target / "block_1.safetensors").exists()
    (tmp_path / "out.replaced").mkdir()
    with pytest.raises(ConvertError, match=r"out.replaced is in the way"):
        convert(source, target, split, force=True)
    assert (tmp_path / "out.replaced").exists()


def test_what_a_shorter_dtype_cannot_hold_is_named(tmp_path, floats):
    large = floats["clip"]["visual.pos_embedding"].clone()
    large.view(-1)[3] = 1e5
    source = small_models.save({**floats["clip"], "visual.pos_embedding": large}, tmp_path / "clip.safetensors")
    with pytest.raises(ConvertError, match=r"visual.pos_embedding holds values that float16 can't hold. Take the dtype bf16 or fp32"):
        convert(source, tmp_path / "out.safetensors", Settings("int8-channel"))
    convert(source, tmp_path / "out.safetensors", Settings("int8-channel", dtype="bf16"))


def test_a_folder_with_anything_else_in_it_is_never_replaced(source, tmp_path):
    target, split = tmp_path / "models", Settings("int8-channel", layout="split")
    target.mkdir()
    for names in ([], ["a.safetensors"], ["a.safetensors", "b.safetensors"], ["block_0.safetensors", "non_block.safetensors", "notes.txt"]):
        for name in names:
            (target / name).write_bytes(b"mine")
        with pytest.raises(ConvertError, match="is not replaced"):
            convert(source, target, split, force=True)
        assert sorted(file.name for file in target.iterdir()) == names
        for name in names:
            (target / name).unlink()
    with pytest.raises(ConvertError, match="is a folder, where a file is to be written"):
        convert(source, target, force=True)


def test_what_a_killed_process_left_is_said_and_removed(source, tmp_path, caplog):
    (tmp_path / "out.safetensors.partial").write_bytes(b"half")
    convert(source, tmp_path / "out.safetensors")
    assert "was cut off; this one starts from the beginning" in caplog.text
    assert len(load_file(tmp_path / "out.safetensors")) > 60


@pytest.mark.parametrize("layout", ["single", "split"])
def test_a_second_run_to_the_same_place_leaves_the_first_ones_file_alone(source, tmp_path, layout):
    target, settings, met = tmp_path / "out.safetensors", Settings("int8-channel", layout=layout), []
    (tmp_path / "link").symlink_to(tmp_path)

    def meanwhile(done: int, total: int) -> None:
        if not met:
            for place in (target, tmp_path / "link" / "out.safetensors"):
                with pytest.raises(ConvertError, match=r"is being written already, by another run. Wait for it, or choose another name") as caught:
                    convert(source, place, settings, force=True)
                met.append(caught.value)
            assert not discard(str(target))
            assert (tmp_path / "out.safetensors.partial").exists()

    convert(source, target, settings, progress=meanwhile)
    assert len(met) == 2
    assert len(headers(str(target))) > 60
    assert sorted(file.name for file in tmp_path.iterdir()) == ["float.safetensors", "link", "out.safetensors"]


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(source, tmp_path):
    split = Settings("int8-channel", layout="split")
    (tmp_path / "disk").mkdir()
    convert(source, tmp_path / "disk" / "wan", split)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "wan")
    convert(source, tmp_path / "link", Settings("fp8-channel", layout="split"), force=True)
    assert (tmp_path / "link").is_symlink()
    assert headers(str(tmp_path / "disk" / "wan"))["blocks.0.ffn.0.weight"].dtype is torch.float8_e4m3fn
    assert sorted(file.name for file in (tmp_path / "disk").iterdir()) == ["wan"]


def test_what_was_replaced_and_can_not_be_removed_is_said_and_is_no_failure(source, tmp_path, caplog, monkeypatch):
    target, split = tmp_path / "out", Settings("int8-channel", layout="split")
    convert(source, target, split)

    def fails(path: str) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(module.shutil, "rmtree", fails)
    convert(source, target, Settings("fp8-channel", layout="split"), force=True)
    assert headers(str(target))["blocks.0.ffn.0.weight"].dtype is torch.float8_e4m3fn
    assert f"Remove {target}.replaced" in caplog.text


def test_a_folders_configuration_outlives_its_checkpoint(source, tmp_path):
    target, split = tmp_path / "out", Settings("int8-channel", layout="split")
    convert(source, target, split)
    (target / "config.json").write_text('{"dim": 256}')
    convert(source, target, Settings("fp8-channel", layout="chunked"), force=True)
    assert (target / "config.json").read_text() == '{"dim": 256}'
    assert not (target / "block_0.safetensors").exists()


@pytest.mark.parametrize("layout", ["split", "chunked"])
def test_a_folder_takes_no_files_place(source, tmp_path, layout):
    target = tmp_path / "out"
    before_and_after(target)
    plan = plan_of(str(source), Source(str(source)).headers, Settings("int8-channel", layout=layout), "out")
    with pytest.raises(ConvertError, match=r"is a file, where a folder is to be written. Choose another name"):
        module.check_target(plan, str(target), force=True)


def test_a_source_that_goes_meanwhile_is_named_and_not_the_target(source, tmp_path):
    def away(done: int, total: int) -> None:
        if source.exists():
            source.rename(tmp_path / "renamed.safetensors")

    with pytest.raises(ConvertError, match=r"float.safetensors could not be read: No such file or directory. Nothing was written"):
        convert(source, tmp_path / "out.safetensors", progress=away)
    assert [file.name for file in tmp_path.iterdir()] == ["renamed.safetensors"]


def test_large_tensors_are_read_in_pieces_and_a_short_file_is_noticed(source, monkeypatch):
    whole = {key: Source(str(source)).read(key) for key in Source(str(source)).headers}
    monkeypatch.setattr(reading, "_PIECE", 1000)
    opened = Source(str(source))
    assert all(torch.equal(opened.read(key), tensor) for key, tensor in whole.items())
    last = max(opened.headers, key=lambda key: opened.headers[key].offset)
    os.truncate(source, source.stat().st_size - 1)
    with pytest.raises(ConvertError, match=f"ends before {last} does"):
        opened.read(last)


@pytest.mark.parametrize("flushes", [1, 3])
def test_a_disk_that_fails_on_what_was_written_before_leaves_what_was_there(source, tmp_path, monkeypatch, flushes):
    target = tmp_path / "out.safetensors"
    before, done = before_and_after(target), []

    def fails(file: int) -> None:
        done.append(file)
        if len(done) == flushes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(writing, "FLUSHED", 4096)
    monkeypatch.setattr(writing.os, "fsync", fails)
    with pytest.raises(ConvertError, match="Input/output error"):
        convert(source, target, force=True)
    assert len(done) == flushes
    assert target.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["blocks.0.ffn.0.weight", "head.modulation"])
def test_nan_and_infinity_are_named(tmp_path, floats, key, value):
    damaged = floats["dit"][key].clone()
    damaged.view(-1)[7] = value
    source = small_models.save({**floats["dit"], key: damaged}, tmp_path / "float.safetensors")
    with pytest.raises(ConvertError, match=f"{key} holds NaN or infinite values"):
        convert(source, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_source_that_changes_meanwhile_is_noticed(source, tmp_path):
    def touch(done: int, total: int) -> None:
        os.utime(source, ns=(1, 1))

    with pytest.raises(ConvertError, match="was changed while it was converted"):
        convert(source, tmp_path / "out.safetensors", progress=touch)
    assert not (tmp_path / "out.safetensors").exists()


def test_too_little_space_is_said_before_a_byte_is_written(source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "free_space", lambda folder: 1000)
    with pytest.raises(ConvertError, match=r"needs .* MiB of room, and .* has 1000 bytes free. Nothing was written"):
        convert(source, tmp_path / "out.safetensors")
    opened = Source(str(source))
    plan = plan_of("x", opened.headers, INT8, "x")
    monkeypatch.setattr(module, "free_space", lambda folder: plan.nbytes + 1)
    module.check_target(plan, str(tmp_path / "out.safetensors"), False)
    with pytest.raises(ConvertError, match="of room"):  # a .pth is made of a safetensors file that lies beside it meanwhile
        module.check_target(plan, str(tmp_path / "out.pth"), False)


def test_what_cannot_be_converted_is_refused(tmp_path, floats):
    def refusal(tensors, settings=INT8) -> str:
        source = small_models.save(tensors, tmp_path / "x.safetensors")
        with pytest.raises(ConvertError) as caught:
            convert(source, tmp_path / "out.safetensors", settings)
        return str(caught.value)

    assert "quantized already" in refusal(small_models.quantized(floats["dit"], "dit", "fp8-channel"))
    assert "where a Wan DiT, its T5 or its CLIP is needed" in refusal({"unet.weight": torch.ones(2, 2)})
    assert "or take int8-channel" in refusal(floats["dit"], Settings("int4-g128", reader="comfyui"))
    assert "a CLIP vision encoder reads nothing quantized" in refusal(floats["clip"], Settings("int8-channel", reader="comfyui"))


def test_the_size_is_known_beforehand(source, tmp_path):
    opened = Source(str(source))
    plan = plan_of("x", opened.headers, Settings("fp8-b128"), "x")
    steps = []
    run(opened, plan, str(tmp_path / "out.safetensors"), progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (plan.nbytes, plan.nbytes)
    assert sum(len(entry[2]) for entry in parsed(tmp_path / "out.safetensors").values()) == plan.nbytes


def test_scales_of_least_squared_error(source, tmp_path, floats):
    convert(source, tmp_path / "out.safetensors", Settings("int4-g128", scaling="mse"))
    convert(source, tmp_path / "plain.safetensors", Settings("int4-g128"))
    key, errors = "blocks.0.ffn.0.weight", []
    for name in ("out", "plain"):
        written = load_file(tmp_path / f"{name}.safetensors")
        stored = INT4_MARLIN.dequantize(QuantizedWeight(written[key], written[key + "_scale"]), torch.float32)
        errors.append((stored - floats["dit"][key]).norm())
    assert errors[0] < 0.98 * errors[1]


def test_a_change_is_added_before_quantizing(source, tmp_path, floats):
    class Doubled:
        def change(self, key, shape):
            return floats["dit"][key].clone() if key == "blocks.0.ffn.0.weight" else None

    convert(source, tmp_path / "out.safetensors", changes={"doubled": Doubled()})
    written = load_file(tmp_path / "out.safetensors")
    expected = FORMATS["int8-channel"].quantize(2 * floats["dit"]["blocks.0.ffn.0.weight"])
    assert torch.equal(written["blocks.0.ffn.0.weight"], expected.data)
    assert torch.equal(written["blocks.0.ffn.0.weight_scale"], expected.scale)
