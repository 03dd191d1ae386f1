"""The activation quantizer of the 8-bit kernels: one scale a row (token), taken from the row itself."""

import logging
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import torch

from ..formats import FP8_CHANNEL, INT8_CHANNEL
from ..formats.channel import SMALLEST_AMAX
from .operators import operator

LIMITS = {format_.dtype: format_.limit for format_ in (FP8_CHANNEL, INT8_CHANNEL)}
"""The largest code of each dtype."""

PIECE_ELEMENTS = 1 << 24
"""The eager quantizer works in pieces of 64 MiB of fp32, so that its temporaries stay small beside a 14B model's activations."""

log = logging.getLogger(__name__)


def pieces(total: int, size: int) -> Iterator[slice]:
    """Slices of `size` that cover `total`."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))


def _fake(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    return x.new_empty(x.shape, dtype=dtype), x.new_empty((x.shape[0], 1), dtype=torch.float32)


@operator("quantize_rows(Tensor x, ScalarType dtype) -> (Tensor, Tensor)", _fake)
def quantize_rows(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes [M, K] in dtype (float8_e4m3fn or int8) and fp32 scales [M, 1] of x [M, K], so that x is about codes * scales.

    Codes are rounded to the nearest, ties to even. A row with NaN gets a NaN scale, so that it stays visible in the product.
    """
    x = x.contiguous()
    values, scale = _fake(x, dtype)
    triton_rows = triton_kernels(x.device) if x.is_cuda and x.numel() else None
    if triton_rows is not None:
        with torch.cuda.device(x.device):
            triton_rows.quantize_rows(x, values, scale, LIMITS[dtype], SMALLEST_AMAX)
        return values, scale
    for part in pieces(x.shape[0], max(1, PIECE_ELEMENTS // max(1, x.shape[1]))):
        rows = x[part].float()
        amax = rows.abs().amax(dim=1, keepdim=True).clamp_(min=SMALLEST_AMAX)
        # Divided by a tensor: torch turns a division by, or of, a plain number into a product with a reciprocal, which rounds twice.
        limit = torch.full_like(amax, LIMITS[dtype])
        scale[part] = amax / limit
        rows = rows * (limit / amax)
        values[part] = rows if dtype.is_floating_point else rows.round_()
    return values, scale


@cache
def triton_kernels(device: torch.device) -> ModuleType | None:
    """The module of Triton kernels, or None where Triton is missing or can't compile (no C compiler, say); the log says why, once."""
    try:
        from . import triton_rows

        x = torch.arange(64, device=device, dtype=torch.float32).reshape(2, 32)
        values, scale = _fake(x, torch.int8)
        with torch.cuda.device(device):
            triton_rows.quantize_rows(x, values, scale, LIMITS[torch.int8], SMALLEST_AMAX)
        if not torch.equal(values[1].float(), torch.round(x[1] * 127 / 63)):
            raise ArithmeticError("its codes are wrong here")
        rescaled = torch.empty_like(x)
        with torch.cuda.device(device):
            triton_rows.rescale(values.int(), scale, torch.ones(32, 1, device=device), None, rescaled)
        if not torch.allclose(rescaled, values.float() * scale):
            raise ArithmeticError("its products are wrong here")
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a compiler may raise anything, and without it the eager quantizer works
        log.warning("LightQuant: activations are quantized by eager torch, in several passes instead of one, as Triton can't be used: %s", error)
        return None
    return triton_rows
