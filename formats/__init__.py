"""How a weight is stored: one file a format, all of them in one table."""

import torch

from .base import Format, QuantizedWeight
from .fp8_b128 import FP8_B128
from .fp8_channel import FP8_CHANNEL
from .int4_g128 import INT4_G128
from .int8_channel import INT8_CHANNEL

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (FP8_CHANNEL, INT8_CHANNEL, FP8_B128, INT4_G128)}
"""The formats that can be read, by name. A scheme may name a format that is not here yet."""


def format_of(dtype: torch.dtype, shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> Format | None:
    """The format whose weight and scale have this dtype and these shapes; None if it is none of ours."""
    return next((format_ for format_ in FORMATS.values() if format_.fits(dtype, shape, scale_shape)), None)


__all__ = ["FORMATS", "FP8_B128", "FP8_CHANNEL", "INT4_G128", "INT8_CHANNEL", "Format", "QuantizedWeight", "format_of"]
