"""Every naming that a LoRA file for Wan comes in, and files that are none or are for another model."""

import pytest
import small_loras
import torch
from lightquant.convert.names import to_diffusers
from lightquant.errors import CheckpointError, LoraError
from lightquant.lora.apply import add_lora

LAYERS = {layer: small_loras.QUANTIZED[layer] for layer in ("blocks.0.self_attn.q", "blocks.0.cross_attn.k", "blocks.1.ffn.0")} | small_loras.OUTSIDE


def flat(layer: str) -> str:
    return layer.replace(".", "_")


NAMINGS = {
    "comfyui": ("diffusion_model.{}", ".lora_up.weight", ".lora_down.weight"),
    "peft": ("diffusion_model.{}", ".lora_B.weight", ".lora_A.weight"),
    "peft, named adapter": ("diffusion_model.{}", ".lora_B.default.weight", ".lora_A.default.weight"),
    "kohya": ("lora_unet_{flat}", ".lora_up.weight", ".lora_down.weight"),
    "wan fun": ("lora_unet__{flat}", ".lora_up.weight", ".lora_down.weight"),
    "diffusers' suffixes": ("diffusion_model.{}", "_lora.up.weight", "_lora.down.weight"),
    "diffusers' newer suffixes": ("diffusion_model.{}", ".lora.up.weight", ".lora.down.weight"),
    "transformers": ("diffusion_model.{}", ".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    "mochi": ("diffusion_model.{}", ".lora_B", ".lora_A"),
    "diffusers": ("transformer.{diffusers}", ".lora_B.weight", ".lora_A.weight"),
    "diffusers, bare": ("{diffusers}", ".lora_B.weight", ".lora_A.weight"),
    "bare": ("{}", ".lora_up.weight", ".lora_down.weight"),
    "diffsynth": ("pipe.dit.{}", ".lora_B.default.weight", ".lora_A.default.weight"),
    "base model": ("base_model.model.{}", ".lora_B.weight", ".lora_A.weight"),
}
"""Naming -> a layer's name, and how the two factors' keys end. The first eight and mochi's are ComfyUI's."""


def named(naming: str, lora: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The factors of LAYERS under another naming."""
    pattern, *ends = NAMINGS[naming]
    out = {}
    for layer in LAYERS:
        name = pattern.format(layer, flat=flat(layer), diffusers=to_diffusers(layer))
        for end, part in zip(ends, ("up", "down"), strict=True):
            out[name + end] = lora[f"{small_loras.PREFIX}{layer}.lora_{part}.weight"]
        out[name + ".alpha"] = torch.tensor(2.0)
    return out


@pytest.fixture(scope="module")
def model(stored):
    with torch.inference_mode():
        return stored("int8-channel")


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_is_the_same_lora(model, folder, predict, added, naming):
    lora = small_loras.factors(LAYERS, alpha=2.0)
    expected = predict(added(model, (small_loras.save(folder, "comfyui.safetensors", lora), 1.0)))
    path = small_loras.save(folder, "other.safetensors", named(naming, lora))
    applied = add_lora(model, path, 1.0)
    assert "without a place" not in applied.text
    assert torch.equal(predict(applied.model), expected)
    assert not torch.equal(expected, predict(model))


def test_lightx2vs_name_for_a_modulations_difference(model, folder, predict, added):
    change = torch.full((1, 6, 256), 0.1)
    paths = [
        small_loras.save(folder, f"{end}.safetensors", {f"diffusion_model.blocks.0.{end}": change}) for end in ("diff_m", "modulation.diff")
    ]  # fmt: skip
    given, expected = (predict(added(model, (path, 1.0))) for path in paths)
    assert torch.equal(given, expected)
    assert not torch.equal(given, predict(model))


def test_what_has_no_place_is_named(model, folder):
    lora = small_loras.factors(LAYERS) | {"diffusion_model.blocks.7.ffn.0.lora_up.weight": torch.zeros(512, 8), "text.diff": torch.zeros(3)}
    lora["diffusion_model.blocks.0.self_attn.norm_q.diff_b"] = torch.zeros(256)  # a norm without a bias
    text = add_lora(model, small_loras.save(folder, "more.safetensors", lora), 1.0).text
    assert "3 without a place in this model, so without effect: " in text
    assert all(name in text for name in ("blocks.7.ffn.0.lora_up.weight", "text.diff", "blocks.0.self_attn.norm_q.bias"))


def test_a_lora_of_another_width_is_refused(model, folder):
    wide = small_loras.factors({"blocks.0.ffn.0": (1024, 512)})
    with pytest.raises(LoraError, match=r"its LoRA for diffusion_model.blocks.0.ffn.0.weight is 1024 x 512, where this model has 512 x 256"):
        add_lora(model, small_loras.save(folder, "wide.safetensors", wide), 1.0)
    with pytest.raises(LoraError, match=r"its difference for .*modulation is 1 x 6 x 512"):
        add_lora(model, small_loras.save(folder, "diff.safetensors", {"diffusion_model.blocks.0.modulation.diff": torch.zeros(1, 6, 512)}), 1.0)
    halves = small_loras.factors({"blocks.0.ffn.0": (512, 256)})
    halves["diffusion_model.blocks.0.ffn.0.lora_up.weight"] = torch.zeros(512, 4)
    with pytest.raises(LoraError, match="rank 4 and 8"):
        add_lora(model, small_loras.save(folder, "halves.safetensors", halves), 1.0)


def test_what_is_no_lora_is_refused(model, folder, floats):
    with pytest.raises(LoraError, match="changes no layer of this model"):
        add_lora(model, small_loras.save(folder, "model.safetensors", floats["dit"]), 1.0)
    with pytest.raises(LoraError, match="Pick another LoRA"):
        add_lora(model, str(folder / "absent.safetensors"), 1.0)
    (folder / "broken.safetensors").write_bytes(b"no such thing")
    with pytest.raises(CheckpointError, match="damaged"):
        add_lora(model, str(folder / "broken.safetensors"), 1.0)
    path = small_loras.save(folder, "a.safetensors", small_loras.factors(LAYERS))
    with pytest.raises(LoraError, match="where a number is needed"):
        add_lora(model, path, float("nan"))


def test_half_a_pair_is_refused(model, folder):
    half = small_loras.factors(LAYERS)
    del half["diffusion_model.blocks.0.self_attn.q.lora_down.weight"]
    with pytest.raises(LoraError, match=r"without .*lora_down.weight"):
        add_lora(model, small_loras.save(folder, "half.safetensors", half), 1.0)


def test_a_changed_file_is_read_again(model, folder, predict, added):
    small = small_loras.save(folder, "a.safetensors", small_loras.factors(LAYERS, size=0.1))
    before = predict(added(model, (small, 1.0)))
    assert torch.equal(predict(added(model, (small, 1.0))), before)
    small_loras.save(folder, "a.safetensors", small_loras.factors(LAYERS, rank=4, size=0.1))
    assert not torch.equal(predict(added(model, (small, 1.0))), before)


def test_a_value_for_a_parameter_that_nothing_reaches_is_said_to_be_without_effect(model, folder):
    """ComfyUI's own loader skips those of a module that holds others without a word."""
    of_block = {"diffusion_model.blocks.0.modulation.set_weight": torch.ones(1, 6, 256)}
    both = small_loras.save(folder, "both.safetensors", {**of_block, "diffusion_model.blocks.0.norm3.diff": torch.ones(256)})
    text = add_lora(model, both, 1.0).text
    assert "1 without a place in this model, so without effect: diffusion_model.blocks.0.modulation" in text
    assert "patched into the weights of 1 layer (1 difference)" in text
    with pytest.raises(LoraError, match="changes no layer of this model"):
        add_lora(model, small_loras.save(folder, "one.safetensors", of_block), 1.0)
