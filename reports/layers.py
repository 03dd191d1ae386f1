"""A file's tensors put in order, from headers alone: layers and their precision, bytes by kind, bytes by block."""

import re
from collections import Counter
from collections.abc import Mapping
from math import ceil, prod
from typing import NamedTuple

import torch

from ..formats import INT4_G128, Format, format_of
from ..formats.int4_g128 import GROUP
from ..loaders.checkpoint import SPIECE
from ..loaders.files import Header
from ..loaders.foreign import QUANTIZED_OTHERWISE
from ..loaders.scaled import CORE_TAG, MARKER, SCALES, WORKSPACE

Headers = Mapping[str, Header]

PRECISIONS = {
    torch.float8_e4m3fn: "fp8 e4m3", torch.float8_e5m2: "fp8 e5m2", torch.int8: "int8", torch.uint8: "uint8", torch.int32: "int32",
    torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.float64: "fp64",
}  # fmt: skip

QUANTIZED, UNSCALED, SCALE = "quantized weights", "8-bit weights without a scale", "scales"
FLOAT, VECTORS, TOKENIZER, MARKS = "float weights", "biases, norms and other vectors", "tokenizer", "marks"

_NO_PARAMETERS = (SCALE, TOKENIZER, MARKS)

A_TENSOR, A_ROW, UNKNOWN = "one scale a tensor", "one scale a row", "scales of another shape"

_INT4 = "int4"

OUTSIDE = "outside the blocks"

_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2, torch.int8)
_OTHER_SCALES = (".input_scale", ".scale_input", ".weight_scale_2", ".weight_global_scale", ".input_global_scale", ".alpha", ".scales", ".g_idx")
_NUMBERED = re.compile(r"(.*?(?:blocks?|layers|transformer))[._](\d+)(?=[._])")
"""A repeated part of a model, wherever it stands in the key: blocks.3, encoder.block.3, vision_model.encoder.layers.3, lora_unet_blocks_3."""


class Layer(NamedTuple):
    """A weight of two or more dimensions.

    role: its name with the block's number as `*`; block: the block it lies in, or None; precision: how it is stored, scales included.
    scale_dtype: that of its scale, or None; bytes: weight and scale together.
    """

    name: str
    role: str
    block: str | None
    shape: tuple[int, ...]
    precision: str
    scale_dtype: str | None
    bytes: int

    @property
    def is_int4(self) -> bool:
        return self.precision.startswith(_INT4)


class Block(NamedTuple):
    """group: what is repeated, such as `blocks`; number: which; bytes: by precision."""

    group: str
    number: int
    bytes: dict[str, int]

    @property
    def name(self) -> str:
        return f"{self.group}.{self.number}" if self.group != OUTSIDE else OUTSIDE


def place_of(key: str) -> tuple[str, int] | None:
    """The group and the number of the block that a tensor lies in; None outside of all blocks."""
    numbered = _NUMBERED.match(key)
    return (numbered[1], int(numbered[2])) if numbered else None


def dtype_name(dtype: torch.dtype) -> str:
    """What the reports call a dtype."""
    return PRECISIONS.get(dtype, str(dtype).removeprefix("torch."))


def scale_of(name: str, tensors: Headers) -> Header | None:
    """The scale of a layer, under any of the names that a scale has."""
    return next((tensors[name + suffix] for suffix in SCALES if name + suffix in tensors), None)


def layers_of(tensors: Headers) -> tuple[Layer, ...]:
    """Every weight of two or more dimensions, by name, numbers as numbers: files order theirs by dtype."""
    weights = [key for key, header in tensors.items() if key.endswith("weight") and len(header.shape) >= 2]
    return tuple(_layer(key, tensors[key], tensors) for key in sorted(weights, key=natural))


def bytes_by_kind(tensors: Headers) -> dict[str, int]:
    """Bytes of each kind of tensor, most first."""
    total: Counter[str] = Counter()
    for key, header in tensors.items():
        total[kind_of(key, header, tensors)] += header.nbytes
    return dict(total.most_common())


def blocks_of(tensors: Headers) -> tuple[Block, ...]:
    """Bytes of each block by precision, scales and the like by their kind, in the file's groups; what lies outside of all blocks comes last."""
    found: dict[tuple[str, int], Counter] = {}
    for key, header in tensors.items():
        place = place_of(key) or (OUTSIDE, 0)
        kind = kind_of(key, header, tensors)
        found.setdefault(place, Counter())[kind if kind in _NO_PARAMETERS else precision_of(key, header, tensors)] += header.nbytes
    groups = list(dict.fromkeys(group for group, _ in found))
    order = sorted(found, key=lambda place: (place[0] == OUTSIDE, groups.index(place[0]), place[1]))
    return tuple(Block(group, number, dict(found[group, number])) for group, number in order)


def parameters_of(tensors: Headers) -> int | None:
    """How many numbers the model has learned; None where they are packed in a way that the shapes don't tell."""
    if any(key.endswith(kind.mark) for key in tensors for kind in QUANTIZED_OTHERWISE):
        return None
    learned = {key: header for key, header in tensors.items() if kind_of(key, header, tensors) not in _NO_PARAMETERS}
    return sum(prod(shape_of(header, scale_of(key.removesuffix(".weight"), tensors))) for key, header in learned.items())


def kind_of(key: str, header: Header, tensors: Headers) -> str:
    """The kind of tensor that the bytes are counted under."""
    if key == SPIECE:
        return TOKENIZER
    if key == MARKER or key.endswith((CORE_TAG, WORKSPACE)):
        return MARKS
    if key.endswith((*SCALES, *_OTHER_SCALES)):
        return SCALE
    if key.endswith(".weight") and scale_of(key.removesuffix(".weight"), tensors):
        return QUANTIZED
    if header.dtype in _EIGHT_BITS:
        return UNSCALED
    return FLOAT if len(header.shape) >= 2 and key.endswith("weight") else VECTORS


def precision_of(key: str, header: Header, tensors: Headers) -> str:
    """How a tensor is stored, in words: its dtype, and for a quantized weight how far one scale reaches."""
    name = key.removesuffix(".weight")
    foreign = [kind for kind in QUANTIZED_OTHERWISE if name + kind.mark in tensors]
    if foreign:
        return foreign[0].what.removeprefix("quantized to ").split(",")[0]
    scale = scale_of(name, tensors) if key.endswith(".weight") else None
    if scale is None:
        return dtype_name(header.dtype) + (", no scale" if header.dtype in _EIGHT_BITS else "")
    int4 = _int4_of(header, scale)
    if int4:
        return f"{_INT4}, one scale a group of {GROUP}" + ("" if int4 is INT4_G128 else f", packed for {int4.packing.capitalize()}")
    return f"{dtype_name(header.dtype)}, {granularity(header.shape, scale.shape)}"


def shape_of(header: Header, scale: Header | None) -> tuple[int, ...]:
    """The shape of a tensor's numbers, which may be packed."""
    int4 = _int4_of(header, scale)
    return int4.shape_of(header.shape) if int4 else header.shape


def _int4_of(header: Header, scale: Header | None) -> Format | None:
    """The packing of an int4 weight; None for any other."""
    found = format_of(header.dtype, header.shape, scale.shape) if scale else None
    return found if found and found.name == INT4_G128.name else None


def granularity(weight: tuple[int, ...], scale: tuple[int, ...]) -> str:
    """How much of a weight one scale is for."""
    if prod(scale) == 1:
        return A_TENSOR
    if scale in ((weight[0],), (weight[0], 1)):
        return A_ROW
    if len(scale) == len(weight) == 2 and all(scale):
        return f"one scale a block of {ceil(weight[0] / scale[0])}x{ceil(weight[1] / scale[1])}"
    return UNKNOWN


def natural(key: str) -> list[tuple[int, str]]:
    """For sorting names with their numbers as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key)]


def _layer(key: str, header: Header, tensors: Headers) -> Layer:
    name = key.removesuffix(".weight")
    scale, numbered = scale_of(name, tensors), _NUMBERED.match(key)
    return Layer(
        name=name,
        role=f"{numbered[1]}.*{name[numbered.end() :]}" if numbered else name,
        block=f"{numbered[1]}.{numbered[2]}" if numbered else None,
        shape=shape_of(header, scale),
        precision=precision_of(key, header, tensors),
        scale_dtype=dtype_name(scale.dtype) if scale else None,
        bytes=header.nbytes + (scale.nbytes if scale else 0),
    )
