"""The activation quantizer of the 8-bit kernels: one scale a row (token), taken from the row itself."""

from types import ModuleType

import torch

from ..formats import FP8_CHANNEL, INT8_CHANNEL
from ..formats.base import SMALLEST_AMAX
from . import jit
from .checks.once import once
from .operators import operator
from .pieces import pieces
from .rows import CHECKED_WIDTH

LIMITS = {format_.dtype: format_.limit for format_ in (FP8_CHANNEL, INT8_CHANNEL)}
"""The largest code of each dtype."""

PIECE_ELEMENTS = 1 << 24
"""The eager quantizer works in pieces of 64 MiB of fp32, so that its temporaries stay small beside a 14B model's activations."""


def empty_rows(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """What quantize_rows returns, unfilled."""
    return x.new_empty(x.shape, dtype=dtype), x.new_empty((x.shape[0], 1), dtype=torch.float32)


@operator("quantize_rows(Tensor x, ScalarType dtype) -> (Tensor, Tensor)", empty_rows)
def quantize_rows(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes [M, K] in dtype (float8_e4m3fn or int8) and fp32 scales [M, 1] of x [M, K], so that x is about codes * scales.

    Codes are rounded to the nearest, ties to even. A row with NaN gets a NaN scale, so that it stays visible in the product.
    """
    x = x.contiguous()
    triton_rows = triton_quantizer(x.device, dtype) if x.is_cuda and x.numel() else None
    return _eager(x, dtype) if triton_rows is None else _fused(triton_rows, x, dtype)


def _fused(triton_rows: ModuleType, x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    values, scale = empty_rows(x, dtype)
    with torch.cuda.device(x.device):
        triton_rows.quantize_rows(x, values, scale, LIMITS[dtype], SMALLEST_AMAX)
    return values, scale


def _eager(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    values, scale = empty_rows(x, dtype)
    for part in pieces(x.shape[0], max(1, PIECE_ELEMENTS // max(1, x.shape[1]))):
        rows = x[part].float()
        amax = rows.abs().amax(dim=1, keepdim=True).clamp_(min=SMALLEST_AMAX)
        # Divided by a tensor: torch turns a division by, or of, a plain number into a product with a reciprocal, which rounds twice.
        limit = torch.full_like(amax, LIMITS[dtype])
        scale[part] = amax / limit
        rows = rows * (limit / amax)
        values[part] = rows if dtype.is_floating_point else rows.round_()
    return values, scale


@once
def triton_quantizer(device: torch.device, dtype: torch.dtype) -> ModuleType | None:
    """The module of Triton kernels, or None where its quantizer does not work; the log says why, once."""

    def check(triton_rows: ModuleType) -> bool:
        x = torch.linspace(-3, 2, 2 * CHECKED_WIDTH, dtype=torch.bfloat16).reshape(2, -1)
        values, scale = _fused(triton_rows, x.to(device), dtype)
        expected, expected_scale = _eager(x, dtype)
        return torch.equal(values.cpu().float(), expected.float()) and torch.equal(scale.cpu(), expected_scale)

    return jit.if_right("rows", check, "activations are quantized by eager torch, in several passes instead of one")
