"""`int4-g128`: 4-bit codes, one scale for 128 inputs of an output row; plainly packed here, as Marlin wants it in int4_marlin.py.

weight[n, k] = (code - 8) * scale[n, k // 128], code from 0 to 15. The scale carries the sign of the group's largest value, which the code 0 then
holds exactly: on Gaussian groups that errs by 0.103 where a scale of amax / 7 errs by 0.117.
"""

from typing import ClassVar

import torch

from .base import ABSMAX, ALL, Format, QuantizedWeight
from .noise import noise_like
from .search import Ratios, is_searched, searched

GROUP = 128
ZERO = 8
"""The code of the weight 0."""
HIGHEST = 15

RATIOS = Ratios(tuple(sign * ratio / 16 for sign in (1, -1) for ratio in range(8, 21) if (sign, ratio) != (1, 16)), 1 / 16)
"""Which scales a search tries: of the other sign too, and larger ones, as 8 / 7 is the one of that sign which reaches the largest value."""


class INT4Group(Format):
    """data: uint8 [N, K/2], the even input's code in the low half of a byte; scale: fp16 (or fp32, as a file has it) [N, K/128]."""

    name = "int4-g128"
    dtype = torch.uint8
    keys: ClassVar[dict[str, str]] = {"data": ".weight", "scale": ".weight_scale"}

    def shape_of(self, data_shape: tuple[int, int]) -> tuple[int, int]:
        return data_shape[0], 2 * data_shape[1]

    def data_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        return shape[0], shape[1] // 2

    def stores(self, shape: tuple[int, int]) -> bool:
        return shape[1] % GROUP == 0

    def kept_scale(self, scale: torch.Tensor) -> torch.Tensor:
        # In fp32 the scales of a 14B model would take 0.4 GiB, and Marlin takes fp16.
        return scale if scale.dtype is torch.float16 else scale.float()

    def scale_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        return shape[0], 2 * shape[1] // GROUP

    def fits(self, dtype: torch.dtype, shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> bool:
        return super().fits(dtype, shape, scale_shape) and 2 * shape[1] % GROUP == 0

    def quantize(self, weight: torch.Tensor, seed: int | None = None, scaling: str = ABSMAX) -> QuantizedWeight:
        if weight.shape[1] % GROUP:
            raise ValueError(f"int4-g128 needs inputs in groups of {GROUP}, this weight has {weight.shape[1]}")
        groups = weight.float().unflatten(1, (-1, GROUP))
        largest = groups.gather(2, groups.abs().argmax(dim=2, keepdim=True))
        scale = largest / torch.full_like(largest, -ZERO)
        if is_searched(scaling):
            scale = searched(groups.reshape(-1, GROUP), scale.reshape(-1, 1), RATIOS, _decoded).reshape(scale.shape)
        scale = scale.half()
        codes = (_rounded(groups, scale, seed) + ZERO).to(torch.uint8).flatten(1)
        return QuantizedWeight(packed(codes), scale.squeeze(2))

    def dequantize(self, weight: QuantizedWeight, dtype: torch.dtype, rows: slice = ALL) -> torch.Tensor:
        codes = codes_of(weight.data[rows]).unflatten(1, (-1, GROUP)).float() - ZERO
        return (codes * weight.scale[rows].float()[:, :, None]).flatten(1).to(dtype)


def _rounded(groups: torch.Tensor, scale: torch.Tensor, seed: int | None) -> torch.Tensor:
    """Codes of the last dimension's groups, fp32, from -8 to 7, with the scale as it is stored; a group too small for fp16 is all zeros."""
    codes = torch.where(scale == 0, 0.0, groups / scale.float())
    codes = codes.round_() if seed is None else torch.floor(codes + noise_like(codes, seed))
    return codes.clamp_(-ZERO, HIGHEST - ZERO)


def _decoded(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    stored = scale.half()
    return _rounded(values, stored, None).mul_(stored.float())


def packed(codes: torch.Tensor) -> torch.Tensor:
    """uint8 [N, K/2] of codes [N, K], the inverse of codes_of."""
    return codes[:, ::2] | codes[:, 1::2] << 4


def codes_of(data: torch.Tensor) -> torch.Tensor:
    """uint8 codes [N, K], 0 to 15, of packed ones [N, K/2]."""
    return torch.stack((data & HIGHEST, data >> 4), dim=2).flatten(1)


INT4_G128 = INT4Group()
