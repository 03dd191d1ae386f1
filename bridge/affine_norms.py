"""The extra affine norms of LightCompress exports: SmoothQuant's or AWQ's factors, folded into a Wan block's two modulated norms.

LightX2V computes `norm(x) * (1 + scale) * weight + shift * bias` where Wan has `norm(x) * (1 + scale) + shift`, with `affine_norm1` before the
self-attention and `affine_norm3` before the FFN (its transformer_infer.py). ComfyUI's blocks know no such norms. What they hand to those two layers
is the plain modulated norm y; times weight, plus shift * (bias - weight), it is LightX2V's. Folding the factors into the modulation instead would
cancel digits in 16 bits, where weight is small.
"""

import re
from collections.abc import Mapping

import comfy.model_management
import torch

KEY = re.compile(r"(.*blocks\.\d+)\.(affine_norm[13])\.(weight|bias)")

_READER_AND_SHIFT = {"affine_norm1": ("self_attn", 0), "affine_norm3": ("ffn", 3)}
"""The layer of a block that reads each norm, and the row of the block's modulation, [1, 6, dim], with its shift."""


class AffineNorm(torch.nn.Module):
    """The factors of one modulated norm; weight multiplies norm(x) * (1 + scale), bias multiplies shift, both [dim]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.bias = torch.nn.Parameter(bias, requires_grad=False)
        self.equal = torch.equal(weight, bias)
        """As SmoothQuant writes them; the shift is not needed then."""
        self.shift: torch.Tensor | None = None
        """Of the block's current call, [B, 1 or T, dim]; None outside of one."""

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """y [B, L, dim] with the factors, computed in fp32 and rounded once."""
        weight = comfy.model_management.cast_to(self.weight, torch.float32, y.device)
        if self.shift is None:
            return torch.mul(y, weight, out=torch.empty_like(y))  # no fp32 copy of y, which is 0.7 GB at 480p
        bias, shift = comfy.model_management.cast_to(self.bias, torch.float32, y.device), self.shift
        if shift.shape[1] > 1:  # one for each frame: spread over its tokens as the block does it
            shift = shift.repeat_interleave(-(-y.shape[1] // shift.shape[1]), dim=1)[:, : y.shape[1]]
        return torch.addcmul(shift * (bias - weight), y, weight).to(y.dtype)


def take_affine_norms(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Move the factors out of the model's tensors."""
    return {key: tensors.pop(key) for key in list(tensors) if KEY.fullmatch(key)}


def add_affine_norms(model: torch.nn.Module, factors: Mapping[str, torch.Tensor]) -> None:
    """Give the blocks of a Wan model their factors, under the names that the file has for them. Raises KeyError where one of a pair is missing."""
    for block_name, name in sorted({KEY.fullmatch(key).groups()[:2] for key in factors}):
        block = model.get_submodule(block_name)
        norm = AffineNorm(*(factors[f"{block_name}.{name}.{part}"] for part in ("weight", "bias")))
        block.add_module(name, norm)
        reader, shift = _READER_AND_SHIFT[name]
        getattr(block, reader).register_forward_pre_hook(_factors_into(norm))
        if not norm.equal:
            block.register_forward_pre_hook(_note_shift(norm, shift), with_kwargs=True)
            block.register_forward_hook(_forget_shift(norm), always_call=True)


def _factors_into(norm: AffineNorm):
    return lambda reader, args: (norm(args[0]), *args[1:])


def _note_shift(norm: AffineNorm, row: int):
    def note(block: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        e = kwargs["e"]  # [B, 6, dim] or [B, T, 6, dim]
        modulation = comfy.model_management.cast_to(block.modulation, dtype=e.dtype, device=e.device)
        shift = (modulation + e)[..., row, :].float()
        norm.shift = shift if shift.ndim == 3 else shift[:, None]

    return note


def _forget_shift(norm: AffineNorm):
    def forget(*_) -> None:
        norm.shift = None

    return forget
