"""What a model's weights take in a format: as converting writes them, and as offloading moves them."""

import re
from collections.abc import Mapping
from functools import cache
from math import prod
from typing import NamedTuple

import torch

from ...convert.selection import USUAL_DTYPE, is_quantized
from ...convert.settings import LIGHTX2V
from ...convert.stored import packing_for, stored_parts
from ...formats import DTYPES
from .encoders import Encoder
from .models import Model, Shapes

GIB = 2**30

FLOAT = "bf16"
"""Stands where a format would, for a model that is not quantized."""

ALIGNMENT = 512
"""Bytes that a tensor starts at in a buffer of offload/units.py."""

_WITHIN = re.compile(r"blocks\.(?P<block>\d+)\.(?P<phase>self_attn|cross_attn|ffn)\..+\.(weight|bias)")
"""The linears of a block, which are what is moved."""


class Sizes(NamedTuple):
    """Bytes of one model. all: its weights; block: of one as it is moved; phase: the largest of its three parts; blocks: how many."""

    all: int
    block: int
    phase: int
    blocks: int

    @property
    def outside(self) -> int:
        """What is in no block's linears, and always resident."""
        return self.all - self.blocks * self.block

    def budget(self, kept: int, unit: int) -> int:
        """What the weights take in VRAM with so many blocks kept and the others in turn in two buffers of a unit."""
        return self.outside + kept * self.block + (2 * unit if kept < self.blocks else 0)

    def kept(self, budget: float, unit: int) -> int | None:
        """The most blocks that can be kept within a budget in bytes; None where not even the buffers fit."""
        return next((kept for kept in range(self.blocks, -1, -1) if self.budget(kept, unit) <= budget), None)


@cache
def sizes(model: Model, format_name: str) -> Sizes:
    """Of one expert in a format, or FLOAT."""
    stored = _stored("dit", model.shapes, format_name)
    phases: dict[str, int] = {}
    for key, tensors in stored.items():
        if (place := _WITHIN.fullmatch(key)) and place["block"] == "0":
            phases[place["phase"]] = phases.get(place["phase"], 0) + sum(-(-size // ALIGNMENT) * ALIGNMENT for size in tensors)
    whole = sum(sum(tensors) for tensors in stored.values())
    return Sizes(whole, sum(phases.values()), max(phases.values()), model.blocks)


@cache
def encoder_bytes(encoder: Encoder, format_name: str) -> int:
    """Of an encoder's file in a format, or FLOAT."""
    return sum(sum(tensors) for tensors in _stored(encoder.component, encoder.shapes, format_name).values())


def _stored(component: str, shapes: Shapes, format_name: str) -> Mapping[str, list[int]]:
    """Key -> bytes of each tensor that is stored of it."""
    dtype = DTYPES[USUAL_DTYPE[component]]
    found = {}
    for key, shape in shapes.items():
        quantized = format_name != FLOAT and is_quantized(component, key, shape, ())
        format_ = packing_for(format_name) if quantized else None
        parts = stored_parts(format_ if format_ and format_.stores(shape) else None, shape, torch.float32, dtype, LIGHTX2V)
        found[key] = [prod(part.shape) * part.dtype.itemsize for part in parts.values()]
    return found
