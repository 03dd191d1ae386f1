"""`int4-g128` as Marlin's kernels read it: the codes of a tile lie where the tensor cores' threads want them, the scales likewise.

The same numbers as the plain packing of int4_g128.py, exactly, both ways. Source of the order: IST-DASLab/marlin, whose files LightX2V reads;
vLLM's `uint4b8` weights of group 128 are the same bytes.
"""

from typing import ClassVar

import torch

from .base import ABSMAX, ALL, Format, QuantizedWeight
from .int4_g128 import GROUP, INT4_G128, codes_of, packed

TILE = 16
"""Marlin's tiles are 16 x 16 codes; four of them, side by side along N, are packed together."""
COLUMNS = 4 * TILE

_SPLIT = (2, 4, 2, 4, 2, 8)
"""A [16, 64] tile of codes [K, N], its axes split in bits: K is (high, thread, low), N is (tile, half, column)."""
_ORDER = (0, 1, 7, 3, 5, 4, 6, 2)
"""Where each axis of (K/16, N/64, *_SPLIT) goes: column, thread, tile, and then the eight codes of an int32, the first in its lowest bits."""


class INT4Marlin(Format):
    """data: int32 [K/16, 2N], eight codes each; scale: fp16 [K/128, N]. N in multiples of 64, K of 128."""

    name = "int4-g128"
    packing = "marlin"
    dtype = torch.int32
    keys: ClassVar[dict[str, str]] = {"data": ".weight", "scale": ".weight_scale"}

    def shape_of(self, data_shape: tuple[int, int]) -> tuple[int, int]:
        return data_shape[1] // 2, data_shape[0] * TILE

    def data_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        return shape[1] // TILE, 2 * shape[0]

    def stores(self, shape: tuple[int, int]) -> bool:
        return _packable(*shape)

    def holds(self, weight: QuantizedWeight) -> bool:
        return _packable(*INT4_G128.shape(weight)) and bool(torch.equal(weight.scale.half().to(weight.scale.dtype), weight.scale))

    def from_plain(self, weight: QuantizedWeight) -> QuantizedWeight:
        codes = codes_of(weight.data)
        outputs, inputs = codes.shape
        tiles = codes.t().reshape(inputs // TILE, TILE, outputs // COLUMNS, COLUMNS).transpose(1, 2)
        nibbles = tiles.reshape(*tiles.shape[:2], *_SPLIT).permute(_ORDER).reshape(inputs // TILE, 16 * outputs)
        return QuantizedWeight(packed(nibbles).view(torch.int32), _transposed_tiles(weight.scale.half().t()))

    def to_plain(self, weight: QuantizedWeight) -> QuantizedWeight:
        outputs, inputs = self.shape(weight)
        sizes = (inputs // TILE, outputs // COLUMNS, *_SPLIT)
        nibbles = codes_of(weight.data.contiguous().view(torch.uint8)).reshape([sizes[axis] for axis in _ORDER])
        tiles = nibbles.permute([_ORDER.index(axis) for axis in range(len(_ORDER))])
        tiles = tiles.reshape(inputs // TILE, outputs // COLUMNS, TILE, COLUMNS)
        codes = tiles.transpose(1, 2).reshape(inputs, outputs).t()
        return QuantizedWeight(packed(codes).contiguous(), _transposed_tiles(weight.scale).t().contiguous())

    def kept_scale(self, scale: torch.Tensor) -> torch.Tensor:
        return scale.half()

    def scale_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        outputs, inputs = self.shape_of(shape)
        return inputs // GROUP, outputs

    def fits(self, dtype: torch.dtype, shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> bool:
        return super().fits(dtype, shape, scale_shape) and _packable(*self.shape_of(shape))

    def quantize(self, weight: torch.Tensor, seed: int | None = None, scaling: str = ABSMAX) -> QuantizedWeight:
        if not _packable(*weight.shape):
            raise ValueError(f"Marlin packs outputs in multiples of {COLUMNS} and inputs of {GROUP}, this weight is {list(weight.shape)}")
        return self.from_plain(INT4_G128.quantize(weight, seed, scaling))

    def dequantize(self, weight: QuantizedWeight, dtype: torch.dtype, rows: slice = ALL) -> torch.Tensor:
        outputs, _ = self.shape(weight)
        start, stop, _ = rows.indices(outputs)
        first, last = start // COLUMNS, -(-stop // COLUMNS)
        tiles = QuantizedWeight(
            weight.data[:, 2 * COLUMNS * first : 2 * COLUMNS * last], weight.scale[:, COLUMNS * first : COLUMNS * last]
        )
        return INT4_G128.dequantize(self.to_plain(tiles), dtype, slice(start - COLUMNS * first, stop - COLUMNS * first))


def _packable(out_features: int, in_features: int) -> bool:
    return out_features % COLUMNS == 0 and in_features % GROUP == 0


def _transposed_tiles(scale: torch.Tensor) -> torch.Tensor:
    """Marlin's order of the scales [K/128, N], which is its own inverse: each 64 of them, as 8 x 8, are transposed."""
    return scale.unflatten(1, (-1, 8, 8)).transpose(2, 3).flatten(1).contiguous()


INT4_MARLIN = INT4Marlin()
