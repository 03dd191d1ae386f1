"""Bit-identical latents under every setting that changes no kernel's shapes."""

import itertools

import comfy.model_management
import nodes
import pipeline
import pytest
import small_models
import torch
from lightquant.bridge.linear import QuantizedLinear
from lightquant.offload import streaming
from offloading import Poisoning, lenders, offloaded, sample

SOURCES = {"pinned": {}, "not pinned": {"pinned": False}, "from disk": {"from_disk": True}, "limited": {"pinned_limit": 0.0003}}


@pytest.fixture(scope="module")
def expected(models):
    with torch.inference_mode():
        return sample(pipeline.load_dit("wan_t2v_fp8.safetensors"))


@pytest.mark.parametrize(("granularity", "source", "keep"), [("model", "pinned", 0.0), *itertools.product(("block", "phase"), SOURCES, (0.0, 0.5))])
def test_every_setting(model, expected, pins, monkeypatch, granularity, source, keep):
    monkeypatch.setattr(streaming, "lane_for", Poisoning)
    clone = offloaded(model, granularity=granularity, keep=keep, **SOURCES[source])
    for _ in range(2):
        assert torch.equal(sample(clone), expected)
    assert not lenders(model)


@pytest.mark.parametrize(("batch", "cfg"), itertools.product((1, 2), (1.0, 5.0)))
def test_batches_and_guidance(model, lane, batch, cfg):
    expected = sample(model, batch=batch, cfg=cfg)
    assert torch.equal(sample(offloaded(model, granularity="phase"), batch=batch, cfg=cfg), expected)


@pytest.mark.parametrize("file", ["wan_t2v_int8.safetensors", "wan_i2v_fp8.safetensors"])
def test_formats_and_image_to_video(models, lane, file):
    model, text = pipeline.load_dit(file), pipeline.conditioning(1, image="i2v" in file)
    expected = pipeline.sample(model, text, text)
    assert torch.equal(pipeline.sample(offloaded(model), text, text), expected)


def test_blocks_that_differ_in_format_and_size(models, floats, lane, tmp_path, add_folder):
    tensors = small_models.quantized(floats["dit"], "dit", "int8-channel")
    for layer in ("blocks.0.ffn.0", "blocks.1.self_attn.q"):
        del tensors[layer + ".weight_scale"]
        tensors[layer + ".weight"] = floats["dit"][layer + ".weight"]
    small_models.save(tensors, tmp_path / "mixed.safetensors")
    add_folder("diffusion_models", tmp_path)
    model = pipeline.load_dit("mixed.safetensors")
    expected = sample(model)
    for granularity in ("block", "phase"):
        assert torch.equal(sample(offloaded(model, granularity=granularity)), expected)


@pytest.mark.parametrize("format_name", ["int4-g128", "fp8-b128"])
def test_formats_of_groups_and_blocks(floats, lane, tmp_path, add_folder, format_name):
    small_models.save(small_models.quantized(floats["dit"], "dit", format_name), tmp_path / "small.safetensors")
    add_folder("diffusion_models", tmp_path)
    model = pipeline.load_dit("small.safetensors")
    expected = sample(model)
    assert torch.equal(sample(offloaded(model)), expected)


@pytest.mark.parametrize("granularity", ["block", "phase"])
def test_text_encoders(models, lane, pins, granularity):
    from lightquant.nodes.offload import Offload
    from offloading import INPUTS

    clip = pipeline.load_t5("models_t5_umt5-xxl-enc-fp8.pth")
    expected = [nodes.CLIPTextEncode().encode(clip, text)[0][0][0] for text in ("a cat", "a dog")]
    clone = Offload.execute(clip=clip, **{**INPUTS, "granularity": granularity}).args[1]
    for text, tensor in zip(("a cat", "a dog") * 2, expected * 2, strict=True):
        assert torch.equal(nodes.CLIPTextEncode().encode(clone, text)[0][0][0], tensor)
        assert not [module for module in clone.patcher.model.modules() if "lender" in module.__dict__]
    assert pins
    comfy.model_management.unload_all_models()
    assert not pins
    assert torch.equal(nodes.CLIPTextEncode().encode(clip, "a cat")[0][0][0], expected[0])


def test_clip_vision(models, lane, pins):
    from lightquant.nodes.offload import Offload
    from offloading import INPUTS

    vision = pipeline.load_clip("models_clip_open-clip-xlm-roberta-large-vit-huge-14-fp8.pth")
    images = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    expected = vision.encode_image(images).penultimate_hidden_states
    clone = Offload.execute(clip_vision=vision, **INPUTS).args[2]
    for _ in range(2):
        assert torch.equal(clone.encode_image(images).penultimate_hidden_states, expected)
    assert torch.equal(vision.encode_image(images).penultimate_hidden_states, expected)


def test_every_streamed_layer_is_lent_by_the_stream(model, monkeypatch):
    """The control: with layers that ComfyUI serves, the tests above would say nothing."""
    from lightquant.offload.stream import Stream

    lent, lend = set(), Stream.lend
    monkeypatch.setattr(Stream, "lend", lambda stream, module, x: (lent.add(module), lend(stream, module, x))[1])
    sample(offloaded(model))
    assert lent == {module for name, module in model.model.named_modules() if isinstance(module, QuantizedLinear) and ".blocks." in name}
