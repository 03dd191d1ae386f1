"""Small models under the names of the published files that the example workflows use, so that the workflows run as they are, in small.

Import ComfyUI first: the small VAE is drawn by its class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import comfy.ldm.wan.vae
import small_models
import torch
from demo_base import draw_start_image
from small_models import Tensors, Weights
from workflows import files
from workflows.parts import START_IMAGE

SPIECE = Path("text_encoders", "google", "umt5-xxl", "spiece.model")
FP8, INT8 = "fp8-channel", "int8-channel"


def fill(base: Path) -> None:
    """Write every file of the workflows, the tokenizer and the start image into a base folder of ComfyUI's."""
    with torch.inference_mode():
        for name, draw in DRAWN.items():
            small_models.save(draw(), base / "models" / files.FILES[name].directory / name)
    spiece = base / "models" / SPIECE
    spiece.parent.mkdir(parents=True, exist_ok=True)
    spiece.write_bytes(small_models.spiece())
    (base / "input").mkdir(exist_ok=True)
    draw_start_image().save(base / "input" / START_IMAGE)


def vae() -> Tensors:
    """A Wan2.1 VAE of a sixth of the published width, in bf16."""
    draw = Weights(4)
    model = comfy.ldm.wan.vae.WanVAE(
        dim=16, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], temperal_downsample=[False, True, True], dropout=0.0,
    )  # fmt: skip
    return {key: _vae_tensor(draw, key, tensor.shape).bfloat16() for key, tensor in model.state_dict().items()}


def _vae_tensor(draw: Weights, key: str, shape: torch.Size) -> torch.Tensor:
    if key.endswith(".gamma"):
        return torch.ones(shape)
    return draw.normal(*shape, std=0.1 if key.endswith(".bias") else shape[1:].numel() ** -0.5)


def lora() -> Tensors:
    """A LoRA on the small DiT's self-attention and FFN, in ComfyUI's own names."""
    draw, tensors = Weights(9), {}
    shapes = {**{f"self_attn.{letter}": (256, 256) for letter in "qkvo"}, "ffn.0": (512, 256), "ffn.2": (256, 512)}
    for block in range(2):
        for layer, (outputs, inputs) in shapes.items():
            name = f"diffusion_model.blocks.{block}.{layer}"
            tensors[f"{name}.lora_down.weight"] = draw.normal(8, inputs, std=inputs**-0.5)
            tensors[f"{name}.lora_up.weight"] = draw.normal(outputs, 8, std=0.1)
    return tensors


def _float_dit() -> Tensors:
    return {key: tensor.half() for key, tensor in small_models.dit().items()}


def _dit(format_name: str, image_to_video: bool = False, clip: bool = True, seed: int = 0) -> Tensors:
    tensors = small_models.dit(image_to_video, seed=seed)
    if not clip:  # Wan2.2's image models see the image through the latents alone
        tensors = {key: tensor for key, tensor in tensors.items() if "img" not in key}
    return small_models.quantized(tensors, "dit", format_name, torch.bfloat16)


DRAWN: dict[str, Callable[[], Tensors]] = {
    files.VAE: vae,
    files.LORA: lora,
    files.FLOAT_1B: _float_dit,
    files.CORE_FP8_14B: lambda: small_models.comfyui_mode(small_models.dit(), "dit"),
    files.T2V_FP8: lambda: _dit(FP8),
    files.T2V_INT8: lambda: _dit(INT8),
    files.I2V_INT8: lambda: _dit(INT8, image_to_video=True),
    files.HIGH_FP8: lambda: _dit(FP8, image_to_video=True, clip=False),
    files.LOW_FP8: lambda: _dit(FP8, image_to_video=True, clip=False, seed=5),
    files.T5_FP8: lambda: small_models.quantized(small_models.t5(), "t5", FP8, torch.bfloat16),
    files.T5_INT8: lambda: small_models.quantized(small_models.t5(), "t5", INT8, torch.bfloat16),
    files.CLIP_INT8: lambda: small_models.quantized(small_models.clip(), "clip", INT8, torch.float16),
}
"""By published name, what draws the small model."""
