"""What the two formats with one scale an output channel have in common: [N, K] codes and a [N, 1] scale."""

from typing import ClassVar

import torch

from .base import Format, QuantizedWeight

SMALLEST_AMAX = 1e-12
"""Keeps the scale of an all-zero row finite. LightX2V uses 1e-5, which costs rows smaller than that their precision."""


class ChannelFormat(Format):
    """One 8-bit code an element, one fp32 scale an output row: weight[n, k] = data[n, k] * scale[n, 0]."""

    limit: ClassVar[float]
    """The largest code, which a row's largest magnitude is mapped to."""

    keys: ClassVar[dict[str, str]] = {"data": ".weight", "scale": ".weight_scale"}

    def quantize(self, weight: torch.Tensor, seed: int | None = None) -> QuantizedWeight:
        weight = weight.float()
        amax = weight.abs().amax(dim=1, keepdim=True).clamp_(min=SMALLEST_AMAX)
        scale = amax / torch.full_like(amax, self.limit)  # divided by a tensor, as a GPU multiplies by a plain number's reciprocal
        return QuantizedWeight(self._round(weight / scale, seed), scale)

    def _round(self, codes: torch.Tensor, seed: int | None) -> torch.Tensor:
        """fp32 codes within about +-limit, rounded into the format's dtype."""
        raise NotImplementedError

    def dequantize(self, weight: QuantizedWeight, dtype: torch.dtype) -> torch.Tensor:
        return (weight.data.float() * weight.scale).to(dtype)

    def slice_rows(self, weight: QuantizedWeight, start: int, stop: int) -> QuantizedWeight:
        return QuantizedWeight(weight.data[start:stop], weight.scale[start:stop])

    def problem(self, data: torch.Tensor, scale: torch.Tensor | None) -> str | None:
        if data.dtype != self.dtype or data.ndim != 2:
            return f"its weight is {data.dtype} of shape {list(data.shape)}, where {self.name} has {self.dtype} with two dimensions"
        if scale is None:
            return f"it has no scale ({self.keys['scale'][1:]})"
        if tuple(scale.shape) != (data.shape[0], 1) or not scale.dtype.is_floating_point:
            return f"its scale is {scale.dtype} of shape {list(scale.shape)}, where {self.name} has floats of shape {[data.shape[0], 1]}"
        if not bool(torch.isfinite(scale).all()):
            return "its scale holds NaN or infinite values"
        return None


def noise_like(codes: torch.Tensor, seed: int) -> torch.Tensor:
    """Uniform noise in [0, 1) of the codes' shape, the same for the same seed and device."""
    generator = torch.Generator(device=codes.device).manual_seed(seed)
    return torch.rand(codes.shape, generator=generator, device=codes.device, dtype=torch.float32)
