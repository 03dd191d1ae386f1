"""How a weight is stored: one file a format, all of them in one table."""

import torch

from .base import ABSMAX, DTYPES, MSE, PLAIN, Format, QuantizedWeight
from .fp8_b128 import FP8_B128
from .fp8_channel import FP8_CHANNEL
from .int4_g128 import INT4_G128
from .int4_marlin import INT4_MARLIN
from .int8_channel import INT8_CHANNEL

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (FP8_CHANNEL, INT8_CHANNEL, FP8_B128, INT4_G128)}
"""The formats in their plain packing, by name."""

PACKINGS: tuple[Format, ...] = (*FORMATS.values(), INT4_MARLIN)
"""Every packing of every format."""


def format_of(dtype: torch.dtype, shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> Format | None:
    """The format and packing whose weight and scale have this dtype and these shapes; None if it is none of ours."""
    return next((format_ for format_ in PACKINGS if format_.fits(dtype, shape, scale_shape)), None)


def packing_of(name: str, weight: QuantizedWeight) -> Format:
    """A format in the packing that a weight of it has."""
    return next(format_ for format_ in PACKINGS if format_.name == name and format_.dtype == weight.data.dtype)


def repacked(name: str, weight: QuantizedWeight, packings: tuple[str, ...]) -> QuantizedWeight:
    """A weight of a format in one of these packings; as it is where it has one of them, or where the first of them can't hold it exactly."""
    stored = packing_of(name, weight)
    if stored.packing in packings:
        return weight
    wanted = next(format_ for format_ in PACKINGS if format_.name == name and format_.packing == packings[0])
    plain = stored.to_plain(weight)
    return wanted.from_plain(plain) if wanted.holds(plain) else weight


__all__ = [
    "ABSMAX", "DTYPES", "FORMATS", "FP8_B128", "FP8_CHANNEL", "INT4_G128", "INT4_MARLIN", "INT8_CHANNEL", "MSE", "PACKINGS", "PLAIN", "Format",
    "QuantizedWeight", "format_of", "packing_of", "repacked",
]  # fmt: skip
