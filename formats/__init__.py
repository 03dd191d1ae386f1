"""How a weight is stored: one file a format, all of them in one table."""

from collections.abc import Iterable

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


def stored_as(weight: QuantizedWeight) -> Format:
    """The format and packing of a stored weight, which its dtype and shapes tell."""
    return format_of(weight.data.dtype, tuple(weight.data.shape), tuple(weight.scale.shape))


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names of formats in the table's order, each once."""
    names = set(names)
    return tuple(name for name in FORMATS if name in names)


def mixture(names: Iterable[str]) -> str | None:
    """What a file whose layers have these formats is said to be stored as; None for none."""
    return " + ".join(in_order(names)) or None


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
    "QuantizedWeight", "format_of", "in_order", "mixture", "packing_of", "repacked", "stored_as",
]  # fmt: skip
