"""`fp8-channel`: float8_e4m3fn codes, one fp32 scale an output channel (LightX2V's fp8 files)."""

import torch

from .channel import ChannelFormat, noise_like

MANTISSA_BITS = 3
SMALLEST_EXPONENT = -6
"""e4m3fn: three mantissa bits; below 2**-6 the codes are evenly spaced (subnormal)."""


class FP8Channel(ChannelFormat):
    name = "fp8-channel"
    dtype = torch.float8_e4m3fn
    limit = 448.0

    def _round(self, codes: torch.Tensor, seed: int | None) -> torch.Tensor:
        if seed is not None:
            # frexp's exponent is one above the one of a mantissa in [1, 2).
            exponent = torch.frexp(codes).exponent.sub_(1).clamp_(min=SMALLEST_EXPONENT)
            spacing = torch.ldexp(torch.ones_like(codes), exponent - MANTISSA_BITS)
            codes = torch.floor(codes / spacing + noise_like(codes, seed)) * spacing
        return codes.clamp_(-self.limit, self.limit).to(self.dtype)


FP8_CHANNEL = FP8Channel()
