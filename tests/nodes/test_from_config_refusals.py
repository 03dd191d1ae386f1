"""Files that a configuration names and that would give noise: refused with words, as the loaders do it."""

import json
import shutil

import pytest
import small_models
import torch
from config_node import run, write
from lightquant.errors import CheckpointError

PAIR = {"dit_quantized": True, "dit_quant_scheme": "int8-vllm", "use_image_encoder": False, "boundary": 0.9}


def expert_keys(high: str, low: str) -> dict:
    return {**PAIR, "high_noise_quantized_ckpt": high, "low_noise_quantized_ckpt": low}


def test_exchanged_experts(wan):
    for expert, seed in {"high": 3, "low": 4}.items():
        tensors = small_models.quantized(small_models.dit(seed=seed), "dit", "int8-channel")
        small_models.save(tensors, wan / f"wan2.2_{expert}_noise_int8.safetensors")
    high, low = (f"wan2.2_{expert}_noise_int8.safetensors" for expert in ("high", "low"))
    assert run(expert_keys(high, low)).args[1] is not None
    with pytest.raises(CheckpointError, match=r"was picked as the high-noise one\. Exchange the two"):
        run(expert_keys(low, high))
    with pytest.raises(CheckpointError, match=r"picked as the low-noise one|Both experts are"):
        run(expert_keys(high, high))
    wider = small_models.quantized(small_models.dit(width=384), "dit", "int8-channel")
    small_models.save(wider, wan / "wider_low_noise.safetensors")
    with pytest.raises(CheckpointError, match="not the experts of one model"):
        run(expert_keys(high, "wider_low_noise.safetensors"))


def flat_scales(floats) -> dict[str, torch.Tensor]:
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    return {key: tensor[:, 0] if key.endswith("_scale") else tensor for key, tensor in tensors.items()}


def five_two(floats) -> dict[str, torch.Tensor]:
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    return {key: tensor.float().to(torch.float8_e5m2) if tensor.dtype is torch.float8_e4m3fn else tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize("make", [flat_scales, five_two])
def test_a_quantized_file_that_is_not_ours_is_no_float_one(wan, floats, make):
    small_models.save(make(floats), wan / "odd.safetensors")
    with pytest.raises(CheckpointError, match="that fit none of the formats"):
        run({"dit_original_ckpt": "odd.safetensors"}, task="t2v")


def test_an_incomplete_float_model(wan, floats):
    tensors = dict(floats["dit"])
    del tensors["blocks.1.self_attn.q.weight"]
    small_models.save(tensors, wan / "holes.safetensors")
    with pytest.raises(CheckpointError, match=r"1 keys missing: blocks\.1\.self_attn\.q\.weight"):
        run({"dit_original_ckpt": "holes.safetensors"}, task="t2v")
    folder = small_models.save_split(floats["dit"], wan / "parts")
    (folder / "diffusion_pytorch_model.safetensors.index.json").unlink()
    (folder / "config.json").write_text(json.dumps({"dim": 256, "num_layers": 3}))
    with pytest.raises(CheckpointError, match=r"the block blocks\.2 is absent"):
        run({"dit_original_ckpt": "parts"}, task="t2v")


def test_a_float_model_of_comfyuis_own_quantization_is_comfyuis(wan, floats, models):
    """Tagged in a way that none of our schemes computes, it goes to ComfyUI's own code."""
    shutil.copy(models / "diffusion_models" / "wan_t2v.safetensors", wan / "float.safetensors")
    write({"dit_original_ckpt": "float.safetensors"}, "wan.json")
    assert run(task="t2v").args[0].model.diffusion_model is not None
