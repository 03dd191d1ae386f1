"""What the two formats with one scale an output channel have in common: [N, K] codes and a [N, 1] scale."""

from typing import ClassVar

import torch

from .base import ABSMAX, ALL, SMALLEST_AMAX, Format, QuantizedWeight
from .search import Ratios, is_searched, searched


class ChannelFormat(Format):
    """One 8-bit code an element, one fp32 scale an output row: weight[n, k] = data[n, k] * scale[n, 0]."""

    limit: ClassVar[float]
    """The largest code, which a row's largest magnitude is mapped to."""
    ratios: ClassVar[Ratios]
    """Of which scales the search tries."""

    keys: ClassVar[dict[str, str]] = {"data": ".weight", "scale": ".weight_scale"}

    def scale_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        return shape[0], 1

    def quantize(self, weight: torch.Tensor, seed: int | None = None, scaling: str = ABSMAX) -> QuantizedWeight:
        weight = weight.float()
        amax = weight.abs().amax(dim=1, keepdim=True).clamp_(min=SMALLEST_AMAX)
        scale = amax / torch.full_like(amax, self.limit)  # divided by a tensor, as a GPU multiplies by a plain number's reciprocal
        if is_searched(scaling):
            scale = searched(weight, scale, self.ratios, self._decoded)
        return QuantizedWeight(self._round(weight / scale, seed), scale)

    def _decoded(self, values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self._round(values / scale, None).float().mul_(scale)

    def _round(self, codes: torch.Tensor, seed: int | None) -> torch.Tensor:
        """fp32 codes within about +-limit, rounded into the format's dtype."""
        raise NotImplementedError

    def dequantize(self, weight: QuantizedWeight, dtype: torch.dtype, rows: slice = ALL) -> torch.Tensor:
        return (weight.data[rows].float() * weight.scale[rows]).to(dtype)
