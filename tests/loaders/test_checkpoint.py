import json
import re

import pytest
import small_models
import torch
from lightquant.errors import CheckpointError
from lightquant.formats import FORMATS, stored_as
from lightquant.loaders import read
from lightquant.loaders.checkpoint import not_quantized


def read_tensors(tensors, component="dit"):
    return read("wan.safetensors", component, lambda path: (dict(tensors), {}))


def refusal(tensors, component="dit") -> str:
    with pytest.raises(CheckpointError) as caught:
        read_tensors(tensors, component)
    assert "wan.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def tensors(floats):
    return small_models.quantized(floats["dit"], "dit", "fp8-channel")


@pytest.mark.parametrize("format_name", ["fp8-channel", "int8-channel"])
@pytest.mark.parametrize(("component", "layers"), [("dit", 20), ("t5", 14), ("clip", 18)])
def test_quantized_layers_are_told_from_the_rest(floats, format_name, component, layers):
    source = small_models.quantized(floats[component], component, format_name, torch.bfloat16)
    checkpoint = read_tensors(source, component)
    assert checkpoint.format == format_name
    assert len(checkpoint.weights) == layers
    assert all(weight.scale.dtype is torch.float32 for weight in checkpoint.weights.values())
    assert not any(key.endswith("_scale") for key in checkpoint.tensors)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model."])
def test_prefixes_are_stripped(tensors, prefix):
    assert set(read_tensors({prefix + key: tensor for key, tensor in tensors.items()}).weights) == set(read_tensors(tensors).weights)


def test_a_bf16_scale_becomes_fp32(tensors):
    key = "blocks.0.ffn.0.weight_scale"
    checkpoint = read_tensors({**tensors, key: tensors[key].bfloat16()})
    assert checkpoint.weights["blocks.0.ffn.0"].scale.dtype is torch.float32


def test_weights_that_a_pth_kept_as_transposed_views_become_contiguous(tensors):
    key = "blocks.0.ffn.0.weight"
    checkpoint = read_tensors({**tensors, key: tensors[key].t().contiguous().t()})
    assert checkpoint.weights["blocks.0.ffn.0"].data.is_contiguous()


def test_fused_qkv_is_split_with_its_scales_and_biases(floats):
    source = small_models.quantized(floats["clip"], "clip", "int8-channel")
    checkpoint = read_tensors(source, "clip")
    name, fused = "vision_model.encoder.layers.1.self_attn.{}_proj", "visual.transformer.1.attn.to_qkv."
    for part, letter in enumerate("qkv"):
        rows = slice(1280 * part, 1280 * (part + 1))
        weight = checkpoint.weights[name.format(letter)]
        assert torch.equal(weight.data, source[fused + "weight"][rows])
        assert torch.equal(weight.scale, source[fused + "weight_scale"][rows])
        assert torch.equal(checkpoint.tensors[name.format(letter) + ".bias"], source[fused + "bias"][rows])


def test_each_layer_of_a_mixed_file_has_its_own_format(floats):
    source = small_models.mixed(floats["dit"], "dit", small_models.of_all_formats)
    checkpoint = read_tensors(source)
    assert checkpoint.formats == tuple(FORMATS)
    assert checkpoint.format == "fp8-channel + int8-channel + fp8-b128 + int4-g128"
    for name, weight in checkpoint.weights.items():
        assert stored_as(weight).name == small_models.of_all_formats(name + ".weight")
        assert torch.equal(weight.data.view(torch.uint8), source[name + ".weight"].view(torch.uint8))
        assert torch.equal(weight.scale, source[name + ".weight_scale"])
    assert {f"blocks.1.{attention}.o.weight" for attention in ("self_attn", "cross_attn")} < set(checkpoint.tensors)


def test_damaged_layers_of_a_mixed_file_are_named(floats):
    """By what is expected in the format that the layer's dtype leaves, and where that leaves two, in the one that more layers have."""
    tensors = small_models.mixed(floats["dit"], "dit", small_models.of_all_formats)
    for layer, expected in (
        ("blocks.1.self_attn.k", r"int8-channel has floats of shape \[256, 1\]"),
        ("blocks.0.self_attn.o", r"int4-g128 has floats of shape \[256, 2\]"),
        ("blocks.0.cross_attn.q", r"fp8-channel has floats of shape \[256, 1\]"),
        ("blocks.0.self_attn.v", r"fp8-channel has floats of shape \[256, 1\]"),
    ):
        scale = f"{layer}.weight_scale"
        assert re.search(rf"{layer} is damaged .* where {expected}", refusal({**tensors, scale: tensors[scale][:, :1][:100]}))
        assert f"{layer} is damaged or of another format: it has no scale" in refusal(without(tensors, scale))
        assert "NaN" in refusal({**tensors, scale: tensors[scale] * float("nan")})
        assert scale in refusal(without(tensors, f"{layer}.weight"))
    most_in_blocks = small_models.mixed(floats["dit"], "dit", lambda key: "fp8-channel" if "ffn" in key else "fp8-b128")
    scale = "blocks.0.self_attn.v.weight_scale"
    assert "fp8-b128 has floats of shape [2, 2]" in refusal({**most_in_blocks, scale: most_in_blocks[scale][:1]})


def test_the_wrong_component_is_named(tensors, floats):
    assert "a Wan DiT, where a umt5 text encoder is needed" in refusal(tensors, "t5")
    assert "a umt5 text encoder, where a Wan DiT is needed" in refusal(floats["t5"], "dit")


def test_a_float_file_names_the_node_that_loads_it(floats):
    checkpoint = read_tensors(floats["dit"])
    assert checkpoint.format is None
    assert "Load Diffusion Model" in str(not_quantized(checkpoint.path, "dit"))


def without(tensors, key):
    return {name: tensor for name, tensor in tensors.items() if name != key}


def test_damaged_layers_are_named(tensors):
    scale, weight = "blocks.1.cross_attn.k.weight_scale", "blocks.1.cross_attn.k.weight"
    assert "blocks.1.cross_attn.k" in refusal(without(tensors, scale))
    assert "has no scale" in refusal(without(tensors, scale))
    assert "[128, 1]" in refusal({**tensors, scale: tensors[scale][:128]})
    assert "shape [256]," in refusal({**tensors, scale: tensors[scale][:, 0]})
    assert "NaN" in refusal({**tensors, scale: tensors[scale] * float("nan")})
    assert "scales without a quantized weight" in refusal(without(tensors, weight))
    unscaled = {name: tensor for name, tensor in tensors.items() if not name.endswith("_scale")}
    assert "20 8-bit weights have no scales: it is a plain cast" in refusal(unscaled)


FOREIGN = {
    "blocks.0.ffn.0.weight_global_scale": "nvfp4",
    "blocks.0.ffn.0.weight_scale_2": "nvfp4",
    "blocks.0.ffn.0.qweight": "GPTQ",
}


@pytest.mark.parametrize("key", list(FOREIGN))
def test_other_quantizations_are_named(tensors, key):
    assert FOREIGN[key] in refusal({**tensors, key: torch.zeros(2)})


TAGS = {
    "nvfp4": {"format": "nvfp4"},
    "with convrot": {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256},
    "convrot": {"format": "int8_tensorwise", "params": {"convrot": True}},
    "None": {},
}


@pytest.mark.parametrize("says", list(TAGS))
@pytest.mark.parametrize("place", ["tensor", "metadata"])
def test_comfyuis_tags_are_believed(floats, says, place):
    """A rotated weight has int8 codes and scales like ours, and means something else."""
    tensors = small_models.core_tagged(floats["dit"], "dit", "int8-channel")
    metadata, key = {}, "blocks.1.ffn.0.comfy_quant"
    assert read_tensors(tensors).format == "int8-channel"
    if place == "tensor":
        tensors[key] = torch.tensor(list(json.dumps(TAGS[says]).encode()), dtype=torch.uint8)
    else:
        metadata = {"_quantization_metadata": json.dumps({"layers": {"blocks.1.ffn.0": TAGS[says]}})}
    with pytest.raises(CheckpointError, match=rf"tag of blocks\.1\.ffn\.0 says .*{says}"):
        read("wan.safetensors", "dit", lambda path: (dict(tensors), metadata))


def test_tags_of_other_models_and_harmless_ones_do_not_matter(floats):
    tensors = small_models.core_tagged(floats["dit"], "dit", "int8-channel")
    tag = {"format": "int8_tensorwise", "per_row": True, "orig_dtype": "torch.bfloat16"}
    tensors["blocks.0.ffn.0.comfy_quant"] = torch.tensor(list(json.dumps(tag).encode()), dtype=torch.uint8)
    metadata = {"_quantization_metadata": json.dumps({"layers": {"text_encoders.x": {"format": "nvfp4"}}})}
    prefixed = {f"model.diffusion_model.{key}": tensor for key, tensor in tensors.items()}
    assert read("wan.safetensors", "dit", lambda path: (prefixed, metadata)).format == "int8-channel"


@pytest.mark.parametrize("layers", [["a"], {"blocks.0.ffn.0": "x"}, None, 3])
def test_a_damaged_header_of_tags_is_named(floats, layers):
    tensors = small_models.core_tagged(floats["dit"], "dit", "int8-channel")
    with pytest.raises(CheckpointError, match="tag of _quantization_metadata is damaged"):
        read("wan.safetensors", "dit", lambda path: (dict(tensors), {"_quantization_metadata": json.dumps({"layers": layers})}))


def test_keys_of_the_model_without_the_prefix_of_the_others_are_refused(floats):
    """LightCompress's norms beside a prefixed model, say: left out, they would give another picture."""
    tensors = small_models.light_compress(floats["dit"], "int8-channel")
    mixed = {key if "affine" in key else f"model.diffusion_model.{key}": tensor for key, tensor in tensors.items()}
    assert "8 keys without the prefix that the model's others have: blocks.0.affine_norm1.bias" in refusal(mixed)
    assert read_tensors({**{f"model.diffusion_model.{key}": t for key, t in tensors.items()}, "vae.weight": torch.ones(2)}).weights


def test_a_damaged_tag_is_named(floats):
    tensors = small_models.core_tagged(floats["dit"], "dit", "int8-channel")
    assert "tag of blocks.0.ffn.0 is damaged" in refusal({**tensors, "blocks.0.ffn.0.comfy_quant": torch.tensor([123, 34], dtype=torch.uint8)})


def test_other_models_are_named(tensors):
    assert "a LoRA" in refusal({"diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.ones(2, 2)})
    assert "an empty file" in refusal({})
    assert "double_blocks.0" in refusal({"double_blocks.0.weight": torch.ones(2, 2)})


def test_an_unknown_key_of_an_encoder_is_named(floats):
    source = small_models.quantized(floats["t5"], "t5", "fp8-channel")
    assert "blocks.0.attn.extra.weight" in refusal({**source, "blocks.0.attn.extra.weight": torch.ones(2)}, "t5")


def test_scaled_e5m2_is_called_so(tensors):
    odd = {key: tensor.float().to(torch.float8_e5m2) if f"{key}_scale" in tensors else tensor for key, tensor in tensors.items()}
    assert re.search(r"its weights, such as blocks\.\d\.\S+, are fp8 of the kind e5m2, .* Load it with ComfyUI's own loader", refusal(odd))


def test_two_scales_of_one_weight_are_refused(tensors):
    key = "blocks.0.ffn.0.scale_weight"
    assert f"it has two scales for one weight: blocks.0.ffn.0.weight_scale and {key}" in refusal({**tensors, key: torch.ones(1)})


def test_a_fused_layer_of_clip_without_its_weight_is_named(floats):
    source = small_models.quantized(floats["clip"], "clip", "int8-channel")
    source.pop("visual.transformer.1.attn.to_qkv.weight")
    said = refusal(source, "clip")
    assert re.search(r"it has (\S+to_qkv).\w+ without \1.weight. The checkpoint is incomplete", said)
