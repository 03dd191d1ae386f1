"""The scale of least squared error, looked for around the one of the largest magnitude.

A scale is tried as a ratio of the latter's: first at the ratios that a format names, then twice around the best of them, each time four times finer.
The error is taken of what the stored codes decode to. Its sums hold whole numbers that float64 adds exactly in any order, so a scale depends
neither on the device nor on how a weight is cut into pieces.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from .base import ABSMAX, MSE

Decode = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(values [G, S], scales [G, 1]) -> a new fp32 tensor: the values as they come back when they are stored, to the nearest, with these scales."""

FINER = 4
ROUNDS = 2

UNITS = 2.0**18
"""The largest error of the first scale, in the units that errors are squared in: 2**17 squares of such errors add up exactly in float64."""

GAIN = 1 - 2.0**-16
"""What a ratio's error must be below, relative to ratio 1: far more than the rounding of the sums, so that no scale is ever worse."""

PIECE = {"cpu": 2**18}
"""How many values are searched at a time: on a CPU what its caches hold."""
OTHER_PIECE = 2**24


class Ratios(NamedTuple):
    """The ratios to try first, beside 1, and how far they lie apart; all are sums of few powers of two, so that fp32 holds them exactly."""

    values: tuple[float, ...]
    step: float


def is_searched(scaling: str) -> bool:
    """Whether a way to choose scales is MSE; raises ValueError if it is none that there is."""
    if scaling not in (ABSMAX, MSE):
        raise ValueError(f"a scale is chosen by {ABSMAX} or {MSE}, not by {scaling!r}")
    return scaling == MSE


@torch.no_grad()
def searched(values: torch.Tensor, scale: torch.Tensor, ratios: Ratios, decode: Decode) -> torch.Tensor:
    """The fp32 scales [G, 1] under which the values [G, S], fp32, err least; never more than under the scales given.

    A group whose first error is zero or no finite number keeps its scale: one of zeros, or one with a NaN or an infinite value.
    """
    found = torch.empty_like(scale)
    rows = max(1, PIECE.get(values.device.type, OTHER_PIECE) // values.shape[1])
    for start in range(0, len(values), rows):
        piece = slice(start, start + rows)
        found[piece] = scale[piece] * _best_ratios(values[piece], scale[piece], ratios, decode)
    return found


def _best_ratios(values: torch.Tensor, scale: torch.Tensor, ratios: Ratios, decode: Decode) -> torch.Tensor:
    first = decode(values, scale).sub_(values)
    largest = first.abs().amax(dim=1, keepdim=True)
    unit = torch.full_like(largest, UNITS) / largest
    best, least = torch.ones_like(scale), _sum_of_squares(first, unit) * GAIN

    def attempt(ratio: torch.Tensor) -> None:
        error = _sum_of_squares(decode(values, scale * ratio).sub_(values), unit)
        best.copy_(torch.where(error < least, ratio, best))
        least.copy_(torch.where(error < least, error, least))

    for ratio in ratios.values:
        attempt(torch.full_like(scale, ratio))
    step = ratios.step
    for _ in range(ROUNDS):
        step /= FINER
        centre = best.clone()
        for steps in range(1, FINER):
            attempt(centre - steps * step)
            attempt(centre + steps * step)
    return best


def _sum_of_squares(errors: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Float64 [G, 1], exact but for the rounding of each square to a whole number. Overwrites the errors."""
    return errors.mul_(unit).square_().round_().sum(dim=1, keepdim=True, dtype=torch.float64)
