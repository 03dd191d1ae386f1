"""Rounding to float8_e4m3fn, which both fp8 formats store."""

import torch

from .noise import noise_like
from .search import Ratios

DTYPE = torch.float8_e4m3fn
LARGEST = 448.0

MANTISSA_BITS = 3
SMALLEST_EXPONENT = -6
"""Three mantissa bits; below 2**-6 the codes are evenly spaced (subnormal)."""

RATIOS = Ratios(tuple(ratio / 32 for ratio in range(28, 64) if ratio != 32), 1 / 32)
"""Which scales a search tries. Clipping hardly helps floats, whose large codes are far apart; it is where in their octaves the large values lie that
makes a difference, and an octave on, the codes repeat."""


def round_e4m3(codes: torch.Tensor, seed: int | None) -> torch.Tensor:
    """fp32 codes within about +-LARGEST as float8_e4m3fn: to the nearest, ties to even, or stochastically by a seed."""
    if seed is not None:
        # frexp's exponent is one above the one of a mantissa in [1, 2).
        exponent = torch.frexp(codes).exponent.sub_(1).clamp_(min=SMALLEST_EXPONENT)
        spacing = torch.ldexp(torch.ones_like(codes), exponent - MANTISSA_BITS)
        codes = torch.floor(codes / spacing + noise_like(codes, seed)) * spacing
    return codes.clamp_(-LARGEST, LARGEST).to(DTYPE)
