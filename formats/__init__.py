"""How a weight is stored: one file a format, all of them in one table."""

from .base import Format, QuantizedWeight
from .fp8_channel import FP8_CHANNEL
from .int8_channel import INT8_CHANNEL

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (FP8_CHANNEL, INT8_CHANNEL)}
"""The formats that can be read, by name. A scheme may name a format that is not here yet."""

__all__ = ["FORMATS", "FP8_CHANNEL", "INT8_CHANNEL", "Format", "QuantizedWeight"]
