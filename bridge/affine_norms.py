"""The extra affine norms of LightCompress exports: SmoothQuant's or AWQ's factors, folded into a Wan block's two modulated norms.

LightX2V computes `norm(x) * (1 + scale) * weight + shift * bias` where Wan has `norm(x) * (1 + scale) + shift`, with `affine_norm1` before the
self-attention and `affine_norm3` before the FFN (its transformer_infer.py). ComfyUI's blocks know no such norms, but they take shift and scale
from their `e` argument, so it is there that the factors are applied, and the block's own code stays as it is.
"""

import re
from collections.abc import Mapping

import comfy.model_management
import torch

KEY = re.compile(r"(.*blocks\.\d+)\.(affine_norm[13])\.(weight|bias)")

_SHIFT_AND_SCALE = {"affine_norm1": (0, 1), "affine_norm3": (3, 4)}
"""The rows of a block's modulation, [1, 6, dim], that each norm changes."""


class AffineNorm(torch.nn.Module):
    """The factors of one modulated norm; weight multiplies 1 + scale, bias multiplies shift, both [dim]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.bias = torch.nn.Parameter(bias, requires_grad=False)


def take_affine_norms(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Move the factors out of the model's tensors."""
    return {key: tensors.pop(key) for key in list(tensors) if KEY.fullmatch(key)}


def add_affine_norms(model: torch.nn.Module, factors: Mapping[str, torch.Tensor]) -> None:
    """Give the blocks of a Wan model their factors, under the names that the file has for them. Raises KeyError where one of a pair is missing."""
    for block_name, norm in sorted({KEY.fullmatch(key).groups()[:2] for key in factors}):
        block = model.get_submodule(block_name)
        parts = [factors[f"{block_name}.{norm}.{part}"] for part in ("weight", "bias")]
        if not any(hasattr(block, each) for each in _SHIFT_AND_SCALE):
            block.register_forward_pre_hook(_apply_factors, with_kwargs=True)
        block.add_module(norm, AffineNorm(*parts))


def _apply_factors(block: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Change e, [B, 6, dim] or [B, T, 6, dim], so that modulation + e, which the block computes, is the shift and scale that LightX2V uses."""
    e = kwargs["e"]
    modulation = comfy.model_management.cast_to(block.modulation, dtype=torch.float32, device=e.device)
    wanted = modulation + e.float()
    for norm, (shift, scale) in _SHIFT_AND_SCALE.items():
        if hasattr(block, norm):
            factors = getattr(block, norm)
            weight, bias = (comfy.model_management.cast_to(part, torch.float32, e.device) for part in (factors.weight, factors.bias))
            wanted[..., shift, :] *= bias
            wanted[..., scale, :] = (1 + wanted[..., scale, :]) * weight - 1
    return args, {**kwargs, "e": (wanted - modulation).to(e.dtype)}
