"""The three nodes as the graph sees them, wrong input included."""

import gc
import os
import shutil

import comfy.model_management
import pipeline
import pytest
import small_models
import torch
from lightquant.errors import CheckpointError, DiscoveryError, KernelError, LightQuantError, SchemeError
from lightquant.nodes.loaders import LoadCLIP, LoadDiT, LoadT5
from lightquant.schemes import SCHEMES

NODES = {LoadDiT: "LightQuantLoadDiT", LoadT5: "LightQuantLoadT5", LoadCLIP: "LightQuantLoadCLIP"}
INPUTS = ["scheme", "checkpoint", "dtype", "missing_kernel"]


@pytest.mark.parametrize("node", list(NODES))
def test_schema(models, node):
    schema = node.define_schema()
    assert schema.node_id == NODES[node]
    inputs = {each.id: each for each in schema.inputs}
    assert list(inputs) == INPUTS + {LoadDiT: ["attention", "blocks"], LoadT5: ["tokenizer"], LoadCLIP: []}[node]
    assert inputs["scheme"].options == ["auto", *SCHEMES]
    assert inputs["scheme"].default == "auto"
    assert inputs["checkpoint"].options[0] == "find it"
    assert len(inputs["checkpoint"].options) > 2
    assert [output.io_type for output in schema.outputs] == [{LoadDiT: "MODEL", LoadT5: "CLIP", LoadCLIP: "CLIP_VISION"}[node]]


def test_the_names_tell_the_two_clips_apart():
    names = {node.define_schema().outputs[0].io_type: node.define_schema().display_name for node in NODES}
    assert names["CLIP"] == "Load Quantized T5 (Text Encoder)"
    assert names["CLIP_VISION"] == "Load Quantized CLIP Vision"


def test_the_node_says_what_it_took(models, caplog):
    caplog.set_level("INFO")
    output = LoadDiT.execute(**{**pipeline.INPUTS, "checkpoint": "wan_t2v_fp8.safetensors", "scheme": "fp8-sgl"})
    (text,) = output.ui.as_dict()["text"]
    assert str(models / "diffusion_models" / "wan_t2v_fp8.safetensors") in text
    assert text.startswith("kernel fp8-torch, fp8-channel, 0.0")
    assert "GiB of weights (20 quantized layers)" in text
    assert "why this kernel: fp8-sgl can't run here: it needs an NVIDIA GPU" in text
    assert all(line in caplog.text for line in text.splitlines())
    assert text.splitlines()[-1].startswith("attention ")
    output = LoadT5.execute(**{**pipeline.INPUTS, "checkpoint": "models_t5_umt5-xxl-enc-int8.pth", "tokenizer": "google/umt5-xxl/spiece.model"})
    assert "tokenizer" in output.ui.as_dict()["text"][0]


def test_find_it_takes_the_only_one(models):
    vision = pipeline.load_clip("find it", scheme="int8-vllm")
    from lightquant.bridge.record import record_of

    assert record_of(vision.patcher).file.endswith("huge-14-int8.pth")
    with pytest.raises(DiscoveryError, match="found 2"):
        pipeline.load_clip("find it")


def test_a_scheme_that_does_not_fit_names_those_that_do(models):
    with pytest.raises(SchemeError, match=r"wan_t2v_int8.safetensors is stored as int8-channel, but the scheme fp8-vllm reads fp8-channel") as caught:
        pipeline.load_dit("wan_t2v_int8.safetensors", scheme="fp8-vllm")
    assert "int8-vllm, int8-sgl, int8-q8f, int8-torchao, int8-torch" in str(caught.value)
    with pytest.raises(SchemeError, match="int4-g128"):
        pipeline.load_dit("wan_t2v_int8.safetensors", scheme="int4-g128-marlin")


def test_a_missing_kernel_can_stop(models):
    with pytest.raises(KernelError, match="it needs an NVIDIA GPU"):
        pipeline.load_dit("wan_t2v_int8.safetensors", scheme="int8-q8f", missing_kernel="stop")


def broken(floats, what: str) -> dict[str, torch.Tensor]:
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    key = "blocks.1.ffn.2.weight"
    changes = {
        "unknown key": {"blocks.0.self_attn.extra.weight": torch.ones(2)},
        "wrong shape": {key: tensors[key][:128], key + "_scale": tensors[key + "_scale"][:128]},
        "missing scale": {},
        "missing key": {},
        "missing block": {},
        "not quantized": floats["dit"],
    }
    tensors.update(changes[what])
    drop = {"missing scale": key + "_scale", "missing key": "blocks.1.norm3.bias", "missing block": "blocks.0.", "not quantized": "_scale"}.get(what)
    return {name: tensor for name, tensor in tensors.items() if drop is None or drop not in name}


SAID = {
    "unknown key": "blocks.0.self_attn.extra.weight",
    "wrong shape": "blocks.1.ffn.2.weight has shape",
    "missing scale": "has no scale",
    "missing key": "blocks.1.norm3.bias",
    "missing block": "no model that LightQuant knows",
    "not quantized": "Load Diffusion Model",
}


def refusal_that_leaves_nothing(load, path) -> str:
    """The error of loading a broken file, which is deleted afterwards; no module of it may be left in memory."""
    gc.collect()
    before = {id(each) for each in gc.get_objects() if isinstance(each, torch.nn.Module)}
    try:
        with pytest.raises(CheckpointError) as caught:
            load(path.name)
        text = str(caught.value)
        caught.value.__traceback__ = caught.value.__cause__ = caught.value.__context__ = None
        del caught
    finally:
        path.unlink()
    assert str(path) in text
    assert "\n" not in text
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, torch.nn.Module) and id(each) not in before]
    assert not comfy.model_management.current_loaded_models
    return text


@pytest.mark.parametrize("what", list(SAID))
def test_broken_checkpoints_are_refused_and_leave_nothing(models, floats, what, tmp_path):
    path = small_models.save(broken(floats, what), models / "diffusion_models" / "broken.safetensors")
    text = refusal_that_leaves_nothing(pipeline.load_dit, path)
    assert SAID[what] in text


@pytest.mark.parametrize("component", ["t5", "clip"])
def test_broken_encoders_are_refused(models, floats, component):
    folder, key = {"t5": ("text_encoders", "blocks.1.norm2.weight"), "clip": ("clip_vision", "visual.transformer.1.norm2.bias")}[component]
    tensors = small_models.quantized(floats[component], component, "int8-channel")
    tensors.pop(key)
    path = small_models.save(tensors, models / folder / "broken.pth")
    text = refusal_that_leaves_nothing(pipeline.load_t5 if component == "t5" else pipeline.load_clip, path)
    assert "1 keys missing" in text
    assert "norm" in text


def fingerprint(**inputs: str) -> str:
    return LoadDiT.fingerprint_inputs(**{**pipeline.INPUTS, **inputs})


def test_a_changed_file_reloads_and_nothing_else_does(models):
    path = models / "diffusion_models" / "changing.safetensors"
    shutil.copy(models / "diffusion_models" / "wan_t2v_fp8.safetensors", path)
    try:
        first = fingerprint(checkpoint=path.name)
        assert first == fingerprint(checkpoint=path.name)
        assert first != fingerprint(checkpoint=path.name, dtype="fp16")
        os.utime(path, (1, 1))
        assert first != fingerprint(checkpoint=path.name)
    finally:
        path.unlink()
    assert "no such file" in fingerprint(checkpoint=path.name) or "not found" in fingerprint(checkpoint=path.name)


def test_a_changed_tokenizer_reloads_the_encoder(models):
    inputs = {**pipeline.INPUTS, "checkpoint": "models_t5_umt5-xxl-enc-fp8.pth", "tokenizer": "find it"}
    path = models / "text_encoders" / "google" / "umt5-xxl" / "spiece.model"
    first, times = LoadT5.fingerprint_inputs(**inputs), path.stat()
    assert first == LoadT5.fingerprint_inputs(**inputs)
    os.utime(path, (1, 1))
    changed = LoadT5.fingerprint_inputs(**inputs)
    os.utime(path, (times.st_atime, times.st_mtime))
    assert first != changed


def test_no_path_outside_comfyuis_folders_is_opened(models, tmp_path):
    outside = small_models.save({"a": torch.ones(2)}, tmp_path / "outside.safetensors")
    for name in (str(outside), os.path.relpath(outside, models / "diffusion_models")):
        with pytest.raises((LightQuantError, FileNotFoundError)):
            pipeline.load_dit(name)


def test_extra_model_paths_are_searched(models, tmp_path, add_folder):
    shutil.copy(models / "diffusion_models" / "wan_t2v_int8.safetensors", tmp_path / "extra_int8.safetensors")
    add_folder("diffusion_models", tmp_path)
    assert pipeline.load_dit("extra_int8.safetensors").model is not None
