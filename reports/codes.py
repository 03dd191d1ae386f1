"""What stored numbers look like row by row: which rows are empty, cut off or hardly use their codes, and what is NaN or infinite."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

NAN, INFINITE, ZERO_ROWS, SATURATED = "NaN", "infinite", "zero rows", "saturated rows"
LOWEST, NARROW = "rows that use -128", "rows that use less than half of the codes"

SATURATED_SHARE, SATURATED_LEAST = 0.02, 8
"""A row is saturated if this share of its codes, and no fewer than so many, lie at the limit: its scale was too small and cut values off."""

INT4_SATURATED_SHARE = 0.125
"""The same for int4, whose 16 codes are all near a limit: Gaussian groups have 2 % of theirs there, and 20 % where their scale is half of theirs."""


class RowFlags(NamedTuple):
    """For a piece [n, K]: rows: what is suspicious -> bool [n]; nan, infinite: how many values are."""

    rows: dict[str, np.ndarray]
    nan: int
    infinite: int


def int8_flags(piece: torch.Tensor) -> RowFlags:
    """int8 codes: -127 to 127; LightQuant and LightX2V never write -128."""
    magnitude = np.abs(piece.numpy()).view(np.uint8)  # of -128: 128
    peak = magnitude.max(axis=1)
    return RowFlags({**_use(peak, magnitude >= 127, 64), LOWEST: peak == 128}, 0, 0)


def e4m3_flags(piece: torch.Tensor) -> RowFlags:
    """float8_e4m3fn codes, by their bits: less the sign they grow with the magnitude, 0x7e is 448, 0x76 is 224 and 0x7f is NaN."""
    magnitude = piece.view(torch.uint8).numpy() & 0x7F
    peak = magnitude.max(axis=1)
    nan = int(np.count_nonzero(magnitude[peak == 0x7F] == 0x7F))
    return RowFlags(_use(peak, magnitude == 0x7E, 0x76), nan, 0)


def float_flags(piece: torch.Tensor) -> RowFlags:
    """Any other float dtype."""
    values = piece.float() if piece.itemsize == 1 else piece  # torch has no arithmetic for 8-bit floats
    peak = values.abs().amax(dim=1)  # NaN and infinity come through
    odd = values[~peak.isfinite()]
    return RowFlags({ZERO_ROWS: (peak == 0).numpy()}, int(odd.isnan().sum()), int(odd.isinf().sum()))


def int4_flags(piece: torch.Tensor) -> RowFlags:
    """Two codes a byte, 8 being 0: each group uses its lowest code by construction, so a row is saturated only with far more codes at a limit."""
    codes = piece.numpy()
    at_limit = sum(np.count_nonzero((half == 0) | (half == 15), axis=1) for half in (codes & 15, codes >> 4))
    return RowFlags({ZERO_ROWS: (codes == 0x88).all(axis=1), SATURATED: at_limit > INT4_SATURATED_SHARE * 2 * codes.shape[1]}, 0, 0)


FLAGS: dict[torch.dtype, Callable[[torch.Tensor], RowFlags]] = {
    torch.int8: int8_flags, torch.float8_e4m3fn: e4m3_flags, torch.uint8: int4_flags,
}  # fmt: skip
"""How codes are looked at, in numpy, which goes over bytes faster than torch does; a float dtype that is not here goes through float_flags."""


def _use(peak: np.ndarray, at_limit: np.ndarray, half: int) -> dict[str, np.ndarray]:
    """How rows use their codes. peak: a row's largest code; at_limit: bool [n, K]; half: the code of half of the largest value there is."""
    # Row by row, as numpy counts along an axis at a third of the speed.
    counts = np.fromiter((np.count_nonzero(row) for row in at_limit), np.int64, len(at_limit))
    saturated = counts >= max(SATURATED_LEAST, SATURATED_SHARE * at_limit.shape[1])
    return {ZERO_ROWS: peak == 0, SATURATED: saturated, NARROW: (peak > 0) & (peak < half)}
