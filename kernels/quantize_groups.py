"""The activation quantizer of the products of fp8 blocks: one scale for each 128 of a row (token)."""

from types import ModuleType

import torch
import torch.nn.functional as F

from ..formats import FP8_CHANNEL
from ..formats.base import SMALLEST_AMAX
from . import jit
from .checks.once import once
from .operators import operator
from .pieces import pieces
from .quantize_rows import PIECE_ELEMENTS
from .rows import CHECKED_WIDTH, GROUP

ROWS_IN_MULTIPLE = 4
"""TMA reads a group's scales where the next group's begin 16 bytes further, or a multiple of that; the scales between are never used."""


def empty_groups(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What quantize_groups returns, unfilled."""
    rows, columns = x.shape
    padded = -(-rows // ROWS_IN_MULTIPLE) * ROWS_IN_MULTIPLE
    scale = x.new_empty((-(-columns // GROUP), padded), dtype=torch.float32)
    return x.new_empty(x.shape, dtype=FP8_CHANNEL.dtype), scale.t()[:rows]


@operator("quantize_groups(Tensor x) -> (Tensor, Tensor)", empty_groups)
def quantize_groups(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float8_e4m3fn codes [M, K] and fp32 scales [M, ceil(K / 128)] of x [M, K], so that x is about codes * scales; the last group may be ragged.

    The scales are column-major, with strides of 1 and of M rounded up to a multiple of 4, as DeepGEMM and torch._scaled_mm want them.
    A group with NaN gets a NaN scale, so that it stays visible in the product.
    """
    x = x.contiguous()
    triton_groups = triton_quantizer(x.device) if x.is_cuda and x.numel() else None
    return _eager(x) if triton_groups is None else _fused(triton_groups, x)


def _fused(triton_groups: ModuleType, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values, scale = empty_groups(x)
    with torch.cuda.device(x.device):
        triton_groups.quantize_groups(x, values, scale, GROUP, FP8_CHANNEL.limit, SMALLEST_AMAX)
    return values, scale


def _eager(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values, scale = empty_groups(x)
    columns = x.shape[1]
    for part in pieces(x.shape[0], max(1, PIECE_ELEMENTS // max(1, columns))):
        groups = F.pad(x[part].float(), (0, -columns % GROUP)).unflatten(1, (-1, GROUP))
        amax = groups.abs().amax(dim=2).clamp_(min=SMALLEST_AMAX)
        # Divided by a tensor: torch turns a division by, or of, a plain number into a product with a reciprocal, which rounds twice.
        limit = torch.full_like(amax, FP8_CHANNEL.limit)
        scale[part] = amax / limit
        values[part] = (groups * (limit / amax)[:, :, None]).flatten(1)[:, :columns]
    return values, scale


@once
def triton_quantizer(device: torch.device) -> ModuleType | None:
    """The module of the Triton kernel, or None where it does not work; the log says why, once."""

    def check(triton_groups: ModuleType) -> bool:
        x = torch.linspace(-3, 2, 2 * CHECKED_WIDTH, dtype=torch.bfloat16).reshape(2, -1)
        values, scale = _fused(triton_groups, x.to(device))
        expected, expected_scale = _eager(x)
        return torch.equal(values.cpu().float(), expected.float()) and torch.equal(scale.cpu(), expected_scale)

    return jit.if_right("groups", check, "activations are quantized in groups by eager torch, in several passes instead of one")
