"""Baking: what ComfyUI's patches do, with its cost told; and what can't be computed beside a layer at all."""

import float_models
import nodes
import pytest
import small_loras
import torch
from checks import cosine
from lightquant.bridge.baking import bake_each
from lightquant.lora.apply import add_lora
from lightquant.lora.survival import survival
from small_models import Weights

FORMATS = ("fp8-channel", "int8-channel", "int4-g128", "fp8-b128")


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_what_the_stock_loader_does_and_the_error_is_that_of_the_weights(stored, folder, predict, added, name):
    path = small_loras.save(folder, "a.safetensors", small_loras.factors(small_loras.QUANTIZED, size=0.1))
    model = stored(name)
    before = {layer: model.model.diffusion_model.get_submodule(layer).weight.dequantize().clone() for layer in small_loras.QUANTIZED}
    baked = added(model, (path, 1.0), mode="bake")
    told = survival(bake_each(baked, list(baked.patches)))
    (stock,) = nodes.LoraLoaderModelOnly().load_lora_model_only(model, "a.safetensors", 1.0)
    assert torch.equal(predict(baked), predict(stock))
    wrong = meant = 0.0
    lora = small_loras.factors(small_loras.QUANTIZED, size=0.1)
    for layer, weight in before.items():
        up, down = (lora[f"{small_loras.PREFIX}{layer}.lora_{part}.weight"] for part in ("up", "down"))
        arrived = model.model.diffusion_model.get_submodule(layer).weight.dequantize() - weight
        wrong, meant = wrong + (arrived.cpu() - up @ down).square().sum(), meant + (up @ down).square().sum()
    assert told.error == pytest.approx(float(wrong / meant) ** 0.5, rel=0.02)
    assert len(told.layers) == len(before)
    assert told.layers[0][1] >= told.layers[-1][1]


def test_the_node_tells_the_cost_and_beside_has_none(stored, folder):
    path = small_loras.save(folder, "a.safetensors", small_loras.factors(small_loras.QUANTIZED, size=0.1))
    model = stored("int4-g128")
    assert "rounded into 20 quantized layers: the error is " in add_lora(model, path, 1.0, "bake").text
    text = add_lora(model, path, 1.0, "beside").text
    assert "rounded" not in text
    assert "computed beside 20 layers (20 LoRA)" in text


def test_the_cost_is_reckoned_from_the_stored_weights_even_while_others_are_in_the_model(stored, folder, predict, added):
    path = small_loras.save(folder, "a.safetensors", small_loras.factors(small_loras.QUANTIZED, size=0.1))
    model = stored("int8-channel")
    before = add_lora(model, path, 1.0, "bake").text
    predict(added(model, (path, 5.0), mode="bake"))  # leaves the model loaded with its weights patched
    assert add_lora(model, path, 1.0, "bake").text == before


def test_a_small_lora_loses_more_than_a_large_one_and_int4_more_than_int8(stored, folder, added):
    errors = {}
    for size in (0.01, 0.3):
        path = small_loras.save(folder, f"{size}.safetensors", small_loras.factors(small_loras.QUANTIZED, size=size))
        for name in ("int8-channel", "int4-g128"):
            baked = added(stored(name), (path, 1.0), mode="bake")
            errors[size, name] = survival(bake_each(baked, list(baked.patches))).error
    assert errors[0.01, "int8-channel"] > 5 * errors[0.3, "int8-channel"]
    assert all(errors[size, "int4-g128"] > 2 * errors[size, "int8-channel"] for size in (0.01, 0.3))


@pytest.mark.parametrize("kind", ["DoRA", "OFT"])
def test_what_multiplies_the_weight_is_patched_and_said_so(stored, folder, floats, predict, kind):
    draw = Weights(6)
    layers = {"blocks.0.self_attn.q": (256, 256), "blocks.1.ffn.2": (256, 512)}
    if kind == "DoRA":
        tensors = small_loras.factors(layers)
        tensors |= {f"{small_loras.PREFIX}{layer}.dora_scale": draw.normal(shape[0], 1, mean=1.0, std=0.2) for layer, shape in layers.items()}
    else:
        tensors = {f"{small_loras.PREFIX}{layer}.oft_blocks": draw.normal(16, rows // 16, rows // 16, std=0.1) for layer, (rows, _) in layers.items()}
    path, model, float_model = small_loras.save(folder, "b.safetensors", tensors), stored("int8-channel"), float_models.load_dit(floats["dit"])
    applied = add_lora(model, path, 1.0)
    assert f"of these 2 {kind}, which can't be computed beside a weight" in applied.text
    assert "rounded into 2 quantized layers" in applied.text
    (patched,) = nodes.LoraLoaderModelOnly().load_lora_model_only(float_model, "b.safetensors", 1.0)
    assert cosine(predict(applied.model) - predict(model), predict(patched) - predict(float_model)) > 0.95


def test_a_model_that_is_not_lightquants_is_patched(folder, floats, predict):
    """Its float weights lose nothing by that."""
    lora = small_loras.factors(small_loras.QUANTIZED) | small_loras.differences()
    model = float_models.load_dit(floats["dit"])
    applied = add_lora(model, small_loras.save(folder, "a.safetensors", lora), 1.0)
    assert "patched into the weights of" in applied.text
    expected = predict(float_models.load_dit(small_loras.merged(floats["dit"], (lora, 1.0))))
    assert cosine(predict(applied.model) - predict(model), expected - predict(model)) > 0.9999
