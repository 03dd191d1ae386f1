"""Converted files in ComfyUI: by the pack's loader, and by ComfyUI's own where they are written for it."""

import json

import comfy.sd
import float_models
import pipeline
import pytest
import small_models
import torch
from checks import cosine, watching
from lightquant.bridge.record import record_of
from lightquant.cli import main
from lightquant.formats import stored_as

POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)


@pytest.fixture
def folder(models, tmp_path, floats, add_folder):
    add_folder("diffusion_models", tmp_path)
    small_models.save(floats["dit"], tmp_path / "float.safetensors")
    return tmp_path


def convert(folder, name: str, *options: str) -> None:
    assert main(["convert", str(folder / "float.safetensors"), str(folder / name), "--dtype", "fp32", *options]) == 0


@pytest.mark.parametrize("format_name", ["fp8-channel", "int8-channel", "fp8-b128", "int4-g128"])
def test_a_converted_file_samples_as_one_of_lightx2vs(folder, floats, format_name):
    convert(folder, "converted.safetensors", "--format", format_name)
    small_models.save(small_models.quantized(floats["dit"], "dit", format_name), folder / "theirs.safetensors")
    converted = pipeline.load_dit("converted.safetensors")
    assert record_of(converted).format == format_name
    assert torch.equal(pipeline.sample(converted, POSITIVE, NEGATIVE), pipeline.sample(pipeline.load_dit("theirs.safetensors"), POSITIVE, NEGATIVE))


@pytest.mark.parametrize("format_name", ["fp8-channel", "int8-channel"])
def test_a_file_for_comfyui_loads_without_the_pack_and_samples_as_with_it(folder, format_name):
    from comfy.quant_ops import QUANT_ALGOS

    if format_name == "int8-channel" and "int8_tensorwise" not in QUANT_ALGOS:
        pytest.skip("this ComfyUI has no int8 of its own")
    convert(folder, "core.safetensors", "--format", format_name, "--for", "comfyui")
    ours = pipeline.sample(pipeline.load_dit("core.safetensors"), POSITIVE, NEGATIVE)
    core = comfy.sd.load_diffusion_model(str(folder / "core.safetensors"), model_options={"dtype": torch.float32})
    assert record_of(core) is None
    assert cosine(pipeline.sample(core, POSITIVE, NEGATIVE), ours) > 0.999


def test_a_planned_recipe_from_the_size_to_the_latents(folder, floats, checkpoint):
    """lightquant plan, lightquant convert --recipe, the loader and KSampler: every layer meets the oracle of its own format."""
    recipe = str(folder / "recipe.json")
    whole = str(folder / "float.safetensors")
    assert main(["plan", whole, "--budget", "60%", "--dtype", "fp32", "--formats", "int8-channel,int4-g128", "--out", recipe]) == 0
    assert main(["convert", whole, str(folder / "planned.safetensors"), "--recipe", recipe]) == 0
    model, source = pipeline.load_dit("planned.safetensors"), checkpoint("dit", "planned.safetensors")
    layers = json.loads((folder / "recipe.json").read_text())["layers"]
    assert {name: stored_as(weight).name for name, weight in source.weights.items()} == {k: v for k, v in layers.items() if v != "float"}
    assert record_of(model).format == "int8-channel + int4-g128"
    with watching(model.model.diffusion_model, source) as watch:
        latents = pipeline.sample(model, POSITIVE, NEGATIVE)
    watch.check(source.weights)
    assert cosine(latents, pipeline.sample(float_models.load_dit(floats["dit"]), POSITIVE, NEGATIVE)) > 0.9


def test_a_recipe_of_what_comfyui_has_samples_there_as_here(folder):
    from comfy.quant_ops import QUANT_ALGOS

    if "int8_tensorwise" not in QUANT_ALGOS:
        pytest.skip("this ComfyUI has no int8 of its own")
    layers = {"blocks.0.self_attn.q": "float", "*.ffn.*": "fp8-channel", "*": "int8-channel"}
    (folder / "recipe.json").write_text(json.dumps({"lightquant_recipe": 1, "component": "dit", "layers": layers}))
    convert(folder, "two.safetensors", "--recipe", str(folder / "recipe.json"), "--for", "comfyui")
    ours = pipeline.load_dit("two.safetensors")
    assert record_of(ours).format == "fp8-channel + int8-channel"
    core = comfy.sd.load_diffusion_model(str(folder / "two.safetensors"), model_options={"dtype": torch.float32})
    assert cosine(pipeline.sample(core, POSITIVE, NEGATIVE), pipeline.sample(ours, POSITIVE, NEGATIVE)) > 0.999
