"""`fp8-b128`: float8_e4m3fn codes, one fp32 scale a block of 128 x 128 (LightX2V's DeepGEMM scheme); blocks at the edges are ragged."""

from typing import ClassVar

import torch
import torch.nn.functional as F

from .base import ABSMAX, ALL, SMALLEST_AMAX, Format, QuantizedWeight
from .e4m3 import DTYPE, LARGEST, RATIOS, round_e4m3
from .search import is_searched, searched

BLOCK = 128


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


class FP8Block(Format):
    name = "fp8-b128"
    dtype = DTYPE
    keys: ClassVar[dict[str, str]] = {"data": ".weight", "scale": ".weight_scale"}

    def scale_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        return _blocks(shape[0]), _blocks(shape[1])

    def quantize(self, weight: torch.Tensor, seed: int | None = None, scaling: str = ABSMAX) -> QuantizedWeight:
        weight = weight.float()
        rows, columns = self.scale_shape(weight.shape)
        amax = _padded(weight.abs(), rows, columns).amax(dim=(1, 3)).clamp_(min=SMALLEST_AMAX)
        scale = amax / torch.full_like(amax, LARGEST)  # divided by a tensor, as a GPU multiplies by a plain number's reciprocal
        if is_searched(scaling):
            blocks = _padded(weight, rows, columns).transpose(1, 2).reshape(-1, BLOCK * BLOCK)
            scale = searched(blocks, scale.reshape(-1, 1), RATIOS, _decoded).reshape(rows, columns)
        return QuantizedWeight(round_e4m3(weight / _spread(scale, weight.shape, ALL), seed), scale)

    def dequantize(self, weight: QuantizedWeight, dtype: torch.dtype, rows: slice = ALL) -> torch.Tensor:
        return (weight.data[rows].float() * _spread(weight.scale, weight.data.shape, rows)).to(dtype)


def _padded(weight: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """[rows, BLOCK, columns, BLOCK]: blocks that the weight only fills in part end in zeros."""
    padded = F.pad(weight, (0, columns * BLOCK - weight.shape[1], 0, rows * BLOCK - weight.shape[0]))
    return padded.reshape(rows, BLOCK, columns, BLOCK)


def _decoded(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return round_e4m3(values / scale, None).float().mul_(scale)


def _spread(scale: torch.Tensor, shape: torch.Size, rows: slice) -> torch.Tensor:
    """The scale of every element of some rows of a weight of this shape."""
    start, stop, _ = rows.indices(shape[0])
    first = start // BLOCK
    by_row = scale[first : _blocks(stop)].repeat_interleave(BLOCK, dim=0)[start - first * BLOCK : stop - first * BLOCK]
    return by_row.repeat_interleave(BLOCK, dim=1)[:, : shape[1]]


FP8_B128 = FP8Block()
