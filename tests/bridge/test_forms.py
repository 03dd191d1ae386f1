"""Every way a DiT is stored: it loads by the node, and two forms of one model give the same latents, bit for bit."""

import float_models
import pipeline
import pytest
import small_models
import torch
from checks import cosine, watching
from lightquant.errors import CheckpointError
from lightquant.formats import FORMATS, QuantizedWeight
from lightquant.kernels.reference import relative_error

TAGS = ["fp8", "int8"]
POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)


@pytest.fixture
def folder(tmp_path, add_folder):
    """A diffusion_models folder of this test's own."""
    add_folder("diffusion_models", tmp_path)
    return tmp_path


def latents(name: str) -> torch.Tensor:
    return pipeline.sample(pipeline.load_dit(name), POSITIVE, NEGATIVE)


def stored(floats, tag: str) -> dict[str, torch.Tensor]:
    return small_models.quantized(floats["dit"], "dit", f"{tag}-channel")


@pytest.mark.parametrize("tag", TAGS)
def test_split_and_chunked_give_the_bits_of_one_file(models, floats, folder, tag):
    tensors = stored(floats, tag)
    small_models.save_split(tensors, folder / "wan_split")
    small_models.save_chunked(tensors, folder / "some" / "wan_chunked", size=20)
    expected = latents(f"wan_t2v_{tag}.safetensors")
    assert torch.equal(latents("wan_split"), expected)
    assert torch.equal(latents("some/wan_chunked"), expected)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model."])
def test_prefixes_give_the_bits_of_the_bare_names(models, floats, folder, prefix):
    small_models.save({prefix + key: tensor for key, tensor in stored(floats, "int8").items()}, folder / "prefixed.safetensors")
    assert torch.equal(latents("prefixed.safetensors"), latents("wan_t2v_int8.safetensors"))


def row_scaled(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights with each tensor's scale repeated for every row, as LightX2V's own files have it."""
    out = {}
    for key, tensor in tensors.items():
        if key.endswith(".scale_weight"):
            rows = tensors[key.replace(".scale_weight", ".weight")].shape[0]
            out[key.replace(".scale_weight", ".weight_scale")] = tensor.reshape(1, 1).repeat(rows, 1)
        elif key != "scaled_fp8":
            out[key] = tensor
    return out


def test_comfyui_mode_files_are_read_with_their_scale_a_tensor(models, floats, folder, checkpoint):
    tensors = small_models.comfyui_mode(floats["dit"], "dit")
    small_models.save(tensors, folder / "wan_comfyui.safetensors")
    small_models.save(row_scaled(tensors), folder / "wan_rows.safetensors")
    model = pipeline.load_dit("wan_comfyui.safetensors")
    source = checkpoint("dit", "wan_comfyui.safetensors")
    assert len(source.weights) == 20
    with watching(model.model.diffusion_model, source) as watch:
        given = pipeline.sample(model, POSITIVE, NEGATIVE)
    watch.check(source.weights)
    assert torch.equal(given, latents("wan_rows.safetensors"))
    expected = pipeline.sample(float_models.load_dit(floats["dit"]), POSITIVE, NEGATIVE)
    assert cosine(given, expected) > 0.97


@pytest.mark.parametrize("tag", TAGS)
def test_files_that_comfyui_itself_quantized(models, floats, folder, tag):
    tensors = small_models.core_tagged(floats["dit"], "dit", f"{tag}-channel")
    small_models.save(tensors, folder / "core.safetensors")
    if tag == "int8":
        assert torch.equal(latents("core.safetensors"), latents("wan_t2v_int8.safetensors"))
    else:
        small_models.save(small_models.comfyui_mode(floats["dit"], "dit"), folder / "wan_comfyui.safetensors")
        assert torch.equal(latents("core.safetensors"), latents("wan_comfyui.safetensors"))


def test_static_activation_scales_are_left_out(models, floats, folder):
    tensors = small_models.comfyui_mode(floats["dit"], "dit")
    small_models.save(tensors, folder / "plain.safetensors")
    small_models.save({**tensors, "blocks.0.ffn.0.scale_input": torch.tensor(0.5)}, folder / "static.safetensors")
    assert torch.equal(latents("static.safetensors"), latents("plain.safetensors"))


@pytest.mark.parametrize("tag", TAGS)
def test_the_norms_of_light_compress_take_effect(models, floats, folder, tag):
    """The export holds the float model's own function: its factors, powers of two here, undo what was taken out of the weights."""
    tensors = small_models.light_compress(floats["dit"], f"{tag}-channel")
    norms = {key for key in tensors if "affine_norm" in key}
    small_models.save(tensors, folder / "exported.safetensors")
    model = pipeline.load_dit("exported.safetensors", dtype="fp32")
    given = pipeline.sample(model, POSITIVE, NEGATIVE)
    expected = pipeline.sample(float_models.load_dit(floats["dit"]), POSITIVE, NEGATIVE)
    assert relative_error(given, expected) < 0.15
    assert cosine(given, expected) > 0.985
    small_models.save({key: tensor for key, tensor in tensors.items() if key not in norms}, folder / "without.safetensors")
    without = relative_error(latents("without.safetensors"), expected)
    assert without > 1.5 * relative_error(given, expected), "without its norms the export must be another model"
    assert norms <= set(model.model.diffusion_model.state_dict())


def test_light_compress_is_exact_where_the_arithmetic_is(models, floats, folder, device):
    """Against the float model of the stored codes with the factors in its weights, which LightX2V's formula gives if both factors are equal."""
    tensors = small_models.light_compress(floats["dit"], "fp8-channel")
    small_models.save(tensors, folder / "exported.safetensors")
    plain = {key: tensor for key, tensor in tensors.items() if "affine" not in key and not key.endswith("_scale")}
    for layer in [key.removesuffix("_scale") for key in tensors if key.endswith(".weight_scale")]:
        plain[layer] = FORMATS["fp8-channel"].dequantize(QuantizedWeight(tensors[layer], tensors[layer + "_scale"]), torch.float32)
        block, name = layer.split(".", 2)[1], layer.split(".", 2)[2]
        norm = {"self_attn.q.weight": 1, "self_attn.k.weight": 1, "self_attn.v.weight": 1, "ffn.0.weight": 3}.get(name)
        if norm:
            plain[layer] = plain[layer] * tensors[f"blocks.{block}.affine_norm{norm}.weight"]
    model = pipeline.load_dit("exported.safetensors", dtype="fp32", scheme="fp8-torch")
    expected = pipeline.sample(float_models.load_dit(plain), POSITIVE, NEGATIVE)
    # On a GPU the activations are quantized too.
    assert relative_error(pipeline.sample(model, POSITIVE, NEGATIVE), expected) < (1e-4 if device.type == "cpu" else 0.1)


@pytest.mark.parametrize("smallest", [0.02, 1.0])
def test_small_factors_lose_no_digits_in_bf16(models, floats, folder, smallest):
    """SmoothQuant gives outlier channels small factors; one rounding of y and one of the product is all that LightX2V's order has."""
    tensors = small_models.light_compress(floats["dit"], "fp8-channel")
    norm = "blocks.0.affine_norm1"
    weight = torch.ones(256)
    weight[::16] = smallest
    tensors |= {f"{norm}.weight": weight, f"{norm}.bias": weight.clone()}
    small_models.save(tensors, folder / "small.safetensors")
    block = pipeline.load_dit("small.safetensors", dtype="bf16").model.diffusion_model.blocks[0]
    draw, seen = small_models.Weights(4), []
    block.self_attn.q.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    block.norm1.register_forward_hook(lambda *call: seen.append(call[2]))
    x, e = draw.normal(1, 16, 256).bfloat16(), draw.normal(1, 6, 256, std=0.3).bfloat16()
    freqs = torch.eye(2).expand(1, 16, 1, 64, 2, 2).float()
    block(x, e=e, freqs=freqs, context=draw.normal(1, 8, 256).bfloat16())
    normed, given = seen[0], seen[1]
    shift, scale = ((block.modulation.float() + e.float())[:, row] for row in (0, 1))
    exact = (normed.float() * (1 + scale) + shift) * weight
    channels = relative_error(given[..., ::16], exact[..., ::16])
    assert channels < 0.006
    assert relative_error(given, exact) < 0.006


def test_shift_and_scale_have_factors_of_their_own(models, floats, folder):
    """bias multiplies the shift alone: with weight 1 and bias 0 the block runs as if its modulation had no shift and its time embedding neither."""
    tensors = stored(floats, "fp8")
    width = floats["dit"]["head.modulation"].shape[-1]
    norms = {f"blocks.{block}.affine_norm1.{part}": torch.full((width,), float(part == "weight")) for block in (0, 1) for part in ("weight", "bias")}
    small_models.save({**tensors, **norms}, folder / "no_shift.safetensors")
    model = pipeline.load_dit("no_shift.safetensors", dtype="fp32")
    seen = []
    block = model.model.diffusion_model.blocks[1]
    block.self_attn.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    normed = []
    block.norm1.register_forward_hook(lambda *call: normed.append(call[2]))
    scales = []
    block.register_forward_pre_hook(lambda module, args, kwargs: scales.append(1 + (module.modulation + kwargs["e"])[..., 1, :]), with_kwargs=True)
    pipeline.sample(model, POSITIVE, NEGATIVE, steps=1, cfg=1.0)
    assert torch.allclose(seen[0], normed[0] * scales[0], atol=1e-4)


def test_half_of_a_pair_of_norms_is_refused(models, floats, folder):
    tensors = small_models.light_compress(floats["dit"], "fp8-channel")
    del tensors["blocks.1.affine_norm3.bias"]
    small_models.save(tensors, folder / "half.safetensors")
    with pytest.raises(CheckpointError, match=r"blocks\.1\.affine_norm3\.bias"):
        pipeline.load_dit("half.safetensors")
