"""Rounding to float8_e4m3fn, which both fp8 formats store."""

import torch

from .noise import noise_like

DTYPE = torch.float8_e4m3fn
LARGEST = 448.0

MANTISSA_BITS = 3
SMALLEST_EXPONENT = -6
"""Three mantissa bits; below 2**-6 the codes are evenly spaced (subnormal)."""


def round_e4m3(codes: torch.Tensor, seed: int | None) -> torch.Tensor:
    """fp32 codes within about +-LARGEST as float8_e4m3fn: to the nearest, ties to even, or stochastically by a seed."""
    if seed is not None:
        # frexp's exponent is one above the one of a mantissa in [1, 2).
        exponent = torch.frexp(codes).exponent.sub_(1).clamp_(min=SMALLEST_EXPONENT)
        spacing = torch.ldexp(torch.ones_like(codes), exponent - MANTISSA_BITS)
        codes = torch.floor(codes / spacing + noise_like(codes, seed)) * spacing
    return codes.clamp_(-LARGEST, LARGEST).to(DTYPE)
