"""fp8 in blocks of 128 x 128 and int4 in groups of 128: the three components load by the nodes, and each linear meets the oracle."""

import float_models
import nodes
import pipeline
import pytest
import small_models
import torch
from checks import cosine, watching
from lightquant.bridge.record import record_of
from lightquant.errors import CheckpointError, SchemeError
from lightquant.reports.inspect import inspect

POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)


@pytest.fixture
def folder(tmp_path, add_folder):
    """A folder of this test's own for all components."""
    for kind in ("diffusion_models", "text_encoders", "clip_vision"):
        add_folder(kind, tmp_path)
    return tmp_path


SMALLEST_COSINE = {"fp8-b128": 0.985, "int4-g128": 0.9}
both = pytest.mark.parametrize("name", list(SMALLEST_COSINE))


def stored(floats, component: str, name: str = "fp8-b128") -> dict[str, torch.Tensor]:
    return small_models.quantized(floats[component], component, name)


@both
def test_a_dit_in_one_file_and_in_parts(models, floats, folder, checkpoint, name):
    small_models.save(stored(floats, "dit", name), folder / "wan_blocks.safetensors")
    small_models.save_split(stored(floats, "dit", name), folder / "blocks_split")
    model = pipeline.load_dit("wan_blocks.safetensors", scheme=f"{name}-torch", missing_kernel="stop")
    source = checkpoint("dit", "wan_blocks.safetensors")
    assert (record_of(model).format, len(source.weights)) == (name, 20)
    with watching(model.model.diffusion_model, source) as watch:
        given = pipeline.sample(model, POSITIVE, NEGATIVE)
    watch.check(source.weights)
    assert cosine(given, pipeline.sample(float_models.load_dit(floats["dit"]), POSITIVE, NEGATIVE)) > SMALLEST_COSINE[name]
    assert torch.equal(pipeline.sample(pipeline.load_dit("blocks_split"), POSITIVE, NEGATIVE), given)


@both
def test_the_encoders(models, floats, folder, checkpoint, spiece, name):
    small_models.save(stored(floats, "t5", name), folder / "t5_blocks.pth")
    small_models.save(stored(floats, "clip", name), folder / "clip_blocks.pth")
    clip, vision = pipeline.load_t5("t5_blocks.pth"), pipeline.load_clip("clip_blocks.pth")
    with watching(clip.cond_stage_model.umt5xxl.transformer, checkpoint("t5", "t5_blocks.pth")) as watch:
        (given,) = nodes.CLIPTextEncode().encode(clip, "a cat walks over the roof")
    watch.check(checkpoint("t5", "t5_blocks.pth").weights)
    (expected,) = nodes.CLIPTextEncode().encode(float_models.load_t5(floats["t5"], spiece), "a cat walks over the roof")
    assert cosine(given[0][0], expected[0][0]) > SMALLEST_COSINE[name]
    image = torch.rand(1, 96, 64, 3, generator=torch.Generator().manual_seed(3))
    with watching(vision.model, checkpoint("clip", "clip_blocks.pth")) as watch:
        seen = vision.encode_image(image)
    assert set(watch.errors) <= set(checkpoint("clip", "clip_blocks.pth").weights)
    assert max(watch.excess.values()) <= 1
    expected = float_models.load_clip(floats["clip"]).encode_image(image)
    assert cosine(seen["penultimate_hidden_states"], expected["penultimate_hidden_states"]) > SMALLEST_COSINE[name]


@both
def test_a_lora_is_baked_and_comes_off_again(models, floats, folder, name):
    small_models.save(stored(floats, "dit", name), folder / "wan_blocks.safetensors")
    model = pipeline.load_dit("wan_blocks.safetensors")
    plain = pipeline.sample(model, POSITIVE, NEGATIVE)
    draw = small_models.Weights(9)
    patched = model.clone()
    up, down = draw.normal(256, 8), draw.normal(8, 256)
    assert patched.add_patches({"diffusion_model.blocks.0.self_attn.q.weight": ("diff", (up @ down,))}, 1.0)
    assert not torch.equal(pipeline.sample(patched, POSITIVE, NEGATIVE), plain)
    assert torch.equal(pipeline.sample(model, POSITIVE, NEGATIVE), plain)


def test_the_inspector_counts_the_packed_codes(floats, folder):
    path = small_models.save(stored(floats, "dit", "int4-g128"), folder / "int4.safetensors")
    report = inspect(str(path), torch.device("cpu"), data=True)
    assert report.format == "int4-g128"
    assert report.parameters == sum(tensor.numel() for tensor in floats["dit"].values())
    assert {layer.precision for layer in report.layers if ".ffn." in layer.name} == {"int4, one scale a group of 128"}
    assert {layer.shape for layer in report.layers if layer.name.endswith("ffn.2")} == {(256, 512)}
    assert report.data.findings == ()


def test_lightx2vs_scheme_is_replaced_or_stops(models, floats, folder):
    small_models.save(stored(floats, "dit"), folder / "wan_blocks.safetensors")
    assert record_of(pipeline.load_dit("wan_blocks.safetensors", scheme="fp8-b128-deepgemm")).kernel == "fp8-b128-torch"
    with pytest.raises(SchemeError, match=r"is stored as fp8-b128, but the scheme fp8-sgl reads fp8-channel"):
        pipeline.load_dit("wan_blocks.safetensors", scheme="fp8-sgl")


def test_a_scale_of_another_grid_is_named(models, floats, folder):
    tensors = stored(floats, "dit")
    key = "blocks.1.ffn.0.weight_scale"
    small_models.save({**tensors, key: tensors[key][:3]}, folder / "cut.safetensors")
    with pytest.raises(CheckpointError, match=r"blocks\.1\.ffn\.0 is damaged .* where fp8-b128 has floats of shape \[4, 2\]"):
        pipeline.load_dit("cut.safetensors")
