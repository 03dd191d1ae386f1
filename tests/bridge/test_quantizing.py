"""Quantizing while loading gives, bit for bit, what converting the file and loading that gives, and takes no float file that nobody picked."""

import gc
import os

import comfy.model_management
import pipeline
import pytest
import small_models
import torch
from checks import PLAIN_SCHEMES, assert_same
from lightquant.bridge import quantizing
from lightquant.bridge.record import record_of
from lightquant.cli import main
from lightquant.errors import CheckpointError, ConvertError, DiscoveryError, KernelError
from safetensors import safe_open

LOADERS = {"dit": pipeline.load_dit, "i2v": pipeline.load_dit, "t5": pipeline.load_t5, "clip": pipeline.load_clip}
FOLDERS = {"dit": "diffusion_models", "i2v": "diffusion_models", "t5": "text_encoders", "clip": "clip_vision"}
FILES = {"dit": "float_t2v.safetensors", "i2v": "float_i2v.safetensors", "t5": "float_t5.pth", "clip": "float_clip.pth"}


@pytest.fixture
def folder(models, floats, spiece, tmp_path, add_folder):
    """Gives the folder of a float model, which is saved there."""

    def make(name: str, dtype: torch.dtype = torch.float32, **changes: torch.Tensor):
        tensors = {key: tensor.to(dtype) for key, tensor in {**floats[name], **changes}.items()}
        small_models.save(tensors, tmp_path / FILES[name])
        (tmp_path / "spiece.model").write_bytes(spiece)
        add_folder(FOLDERS[name], tmp_path)
        return tmp_path

    return make


def convert(folder, name: str, *options: str) -> str:
    assert main(["convert", str(folder / FILES[name]), str(folder / "converted.safetensors"), "--force", *options]) == 0
    return "converted.safetensors"


@pytest.mark.parametrize("name", list(FILES))
def test_it_equals_converting_and_loading(folder, name):
    place = folder(name)
    for format_name, scheme in PLAIN_SCHEMES.items():
        model = LOADERS[name](FILES[name], scheme=scheme)
        assert_same(model, LOADERS[name](convert(place, name, "--format", format_name), scheme=scheme))
        record = record_of(getattr(model, "patcher", model))
        assert (record.format, record.how) == (format_name, "quantized while loading, absmax")
        assert record.file == str(place / FILES[name])


def test_16_bit_sources_and_another_dtype_for_the_rest(folder):
    place = folder("dit", torch.bfloat16)
    model = pipeline.load_dit(FILES["dit"], scheme="int8-torch", dtype="fp16")
    assert_same(model, pipeline.load_dit(convert(place, "dit", "--format", "int8-channel", "--dtype", "fp16"), scheme="int8-torch", dtype="fp16"))


def test_it_samples_as_the_converted_file(folder):
    place = folder("i2v")
    conditionings = [pipeline.conditioning(seed, image=True) for seed in (1, 2)]
    latents = pipeline.sample(pipeline.load_dit(FILES["i2v"], scheme="int8-torch"), *conditionings)
    converted = pipeline.load_dit(convert(place, "i2v", "--format", "int8-channel"), scheme="int8-torch")
    assert torch.equal(latents, pipeline.sample(converted, *conditionings))


def test_shards_in_diffusers_names_and_prefixed_files_beside_other_models(folder, floats, tmp_path):
    from lightquant.convert.names import to_diffusers

    place = folder("dit")
    expected = pipeline.load_dit(convert(place, "dit", "--format", "int8-channel"))
    keys = list(floats["dit"])
    for number, part in enumerate((keys[::2], keys[1::2]), 1):
        shard = {to_diffusers(key): floats["dit"][key] for key in part}
        small_models.save(shard, tmp_path / "shards" / f"model-0000{number}-of-00002.safetensors")
    assert_same(pipeline.load_dit("shards", scheme="int8-torch"), expected)
    whole = {f"model.diffusion_model.{key}": tensor for key, tensor in floats["dit"].items()}
    small_models.save({**whole, "first_stage_model.encoder.weight": torch.ones(2, 2)}, tmp_path / "whole.safetensors")
    assert_same(pipeline.load_dit("whole.safetensors", scheme="int8-torch"), expected)


def test_without_a_scheme_the_error_says_to_pick_one(folder):
    folder("dit")
    with pytest.raises(CheckpointError, match=r"is not quantized: .* Pick a scheme to quantize it while it loads"):
        pipeline.load_dit(FILES["dit"])


def test_a_float_file_that_nobody_picked_is_not_taken(models, folder, monkeypatch):
    import folder_paths

    place = folder("dit")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(place)], {".safetensors"}))
    with pytest.raises(DiscoveryError, match=r"float_t2v.safetensors \(not quantized\)"):
        pipeline.load_dit("find it", scheme="int8-torch")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_numbers_are_named_and_leave_nothing(folder, floats, value):
    key = "blocks.1.ffn.2.weight"
    damaged = floats["dit"][key].clone()
    damaged[3, 5] = value
    folder("dit", **{key: damaged})
    gc.collect()
    before = {id(each) for each in gc.get_objects() if isinstance(each, torch.nn.Module) or torch.is_tensor(each)}
    with pytest.raises(ConvertError, match=rf"{key} holds NaN or infinite values") as caught:
        pipeline.load_dit(FILES["dit"], scheme="int8-torch")
    caught.value.__traceback__ = None
    del caught
    gc.collect()
    assert not [each for each in gc.get_objects() if (isinstance(each, torch.nn.Module) or torch.is_tensor(each)) and id(each) not in before]


def test_weights_that_a_format_cannot_store_stay_float_and_are_named(folder, floats):
    odd = {f"blocks.{block}.ffn.{end}": tensor for block in range(2) for end, tensor in {
        "0.weight": torch.randn(320, 256), "0.bias": torch.randn(320), "2.weight": torch.randn(256, 320)}.items()}  # fmt: skip
    place = folder("dit", **odd)
    model = pipeline.load_dit(FILES["dit"], scheme="int4-g128-torch")
    assert_same(model, pipeline.load_dit(convert(place, "dit", "--format", "int4-g128")))
    assert record_of(model).how.endswith("; 2 weights stay float, such as blocks.0.ffn.2.weight: int4-g128 does not divide 256 x 320")
    assert "blocks.1.ffn.2.weight" in record_of(model).float_tensors


def test_a_model_that_the_format_stores_nothing_of(folder, floats):
    tiny = small_models.clip(width=80 * 2, mlp=96)
    place = folder("clip")
    small_models.save(tiny, place / FILES["clip"])
    with pytest.raises(ConvertError, match="no weight of it fits"):
        pipeline.load_clip(FILES["clip"], scheme="int4-g128-torch")


def test_another_clip_is_refused(folder):
    place = folder("clip")
    small_models.save(small_models.clip(width=1024), place / FILES["clip"])
    with pytest.raises(CheckpointError, match="this is a CLIP of width 1024"):
        pipeline.load_clip(FILES["clip"], scheme="int8-torch")


def test_a_kernel_that_cannot_run_is_said_before_the_work(folder, monkeypatch):
    folder("dit")
    monkeypatch.setattr(quantizing, "in_memory", lambda *_: pytest.fail("it was quantized"))
    with pytest.raises(KernelError, match="it needs an NVIDIA GPU"):
        pipeline.load_dit(FILES["dit"], scheme="int8-q8f", missing_kernel="stop")


def test_missing_blocks_are_said_before_the_work(folder, floats, monkeypatch):
    place = folder("dit")
    tensors = {key.replace("blocks.1.", "blocks.2."): tensor for key, tensor in floats["dit"].items()}
    small_models.save(tensors, place / FILES["dit"])
    monkeypatch.setattr(quantizing, "in_memory", lambda *_: pytest.fail("it was quantized"))
    with pytest.raises(CheckpointError, match=r"the block blocks.1 is absent"):
        pipeline.load_dit(FILES["dit"], scheme="int8-torch")


def test_cancelling_stops_it(folder):
    folder("dit")
    comfy.model_management.interrupt_current_processing()
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            pipeline.load_dit(FILES["dit"], scheme="int8-torch")
    finally:
        comfy.model_management.interrupt_current_processing(False)


def test_progress_counts_bytes(folder, monkeypatch):
    folder("dit")
    told = []
    monkeypatch.setattr(quantizing, "byte_progress", lambda: lambda done, total: told.append((done, total)))
    pipeline.load_dit(FILES["dit"], scheme="int8-torch")
    assert len(told) > 60
    assert told[-1][0] == told[-1][1] == max(done for done, _ in told)


def test_a_second_copy_is_quantized_again(folder):
    folder("dit")
    model = pipeline.load_dit(FILES["dit"], scheme="fp8-torch")
    factory, arguments = model.cached_patcher_init[:2]
    again = factory(*arguments, disable_dynamic=True)
    assert again.model is not model.model
    assert_same(again, model)


def test_a_changed_file_reloads(folder):
    from lightquant.nodes.loaders import LoadDiT

    place = folder("dit")
    inputs = {**pipeline.INPUTS, "checkpoint": FILES["dit"], "scheme": "int8-torch"}
    first = LoadDiT.fingerprint_inputs(**inputs)
    assert first == LoadDiT.fingerprint_inputs(**inputs)
    assert first != LoadDiT.fingerprint_inputs(**{**inputs, "scheme": "int8-kitchen"})
    os.utime(place / FILES["dit"], (1, 1))
    assert first != LoadDiT.fingerprint_inputs(**inputs)


def test_where_it_is_quantized(monkeypatch):
    free = []
    monkeypatch.setattr(comfy.model_management, "get_torch_device", lambda: torch.device("cuda", 1))
    monkeypatch.setattr(comfy.model_management, "free_memory", lambda needed, device: free.append(needed))
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: 33000)
    assert quantizing.device_for(1000) == "cuda:1"
    assert quantizing.device_for(2000) == "cpu"
    assert free == [32000, 64000]
    monkeypatch.setattr(comfy.model_management, "get_torch_device", lambda: torch.device("mps"))
    assert quantizing.device_for(1000) == "cpu"


def test_the_converted_file_says_so_and_the_loaded_one_too(folder, caplog):
    place = folder("dit")
    caplog.set_level("INFO")
    pipeline.load_dit(FILES["dit"], scheme="int8-torch")
    assert f"{place / FILES['dit']}, quantized while loading, absmax" in caplog.text
    with safe_open(place / convert(place, "dit", "--format", "int8-channel"), "pt") as file:
        assert '"format": "int8-channel"' in file.metadata()["lightquant"]
