"""What is written of one tensor for a reader: LightX2V's keys, or ComfyUI's own with its tags."""

import json
from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import torch

from ..formats import ABSMAX, FORMATS, FP8_CHANNEL, INT4_MARLIN, INT8_CHANNEL, Format, QuantizedWeight
from ..formats.base import SMALLEST_AMAX
from ..formats.e4m3 import LARGEST, round_e4m3
from ..loaders.scaled import CORE_TAG, WORKSPACE
from .settings import COMFYUI

WEIGHT, SCALE, WHOLE = ".weight", ".weight_scale", ""

CORE_NAMES = {FP8_CHANNEL.name: "float8_e4m3fn", INT8_CHANNEL.name: "int8_tensorwise"}
"""What ComfyUI's tag calls a format. Its fp8 has one scale a tensor, its int8 takes one a row."""


def packing_for(format_name: str) -> Format:
    """A format in the packing that it is written in: int4 as LightX2V's scheme for it, Marlin's, reads it."""
    return INT4_MARLIN if format_name == INT4_MARLIN.name else FORMATS[format_name]


class Stored(NamedTuple):
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def stored_parts(format_: Format | None, shape: tuple[int, ...], source: torch.dtype, dtype: torch.dtype, reader: str) -> Mapping[str, Stored]:
    """Suffix behind the layer's name -> dtype and shape of what is written. dtype: of what stays float; what is no float stays as it is."""
    if format_ is None:
        return {WHOLE: Stored(dtype if source.is_floating_point else source, tuple(shape))}
    data = format_.data_shape(tuple(shape))
    parts = {WEIGHT: Stored(format_.dtype, data)}
    if reader == COMFYUI:
        scale = () if has_one_scale(reader, format_) else format_.scale_shape(data)
        return {**parts, SCALE: Stored(torch.float32, scale), CORE_TAG: Stored(torch.uint8, (len(_tag(format_)),))}
    parts[SCALE] = Stored(torch.float16 if format_ is INT4_MARLIN else torch.float32, format_.scale_shape(data))
    if format_ is INT4_MARLIN:
        parts[WORKSPACE] = Stored(torch.int32, (shape[0] // 128 * 16,))
    return parts


def stored_tensors(format_: Format | None, weight: torch.Tensor, dtype: torch.dtype, reader: str, scaling: str) -> dict[str, torch.Tensor]:
    """The tensors that stored_parts announces, of a float weight."""
    if format_ is None:
        return {WHOLE: weight.to(dtype) if weight.is_floating_point() else weight}
    return quantized_parts(format_, quantize_for(reader, format_, weight, scaling), reader)


def quantize_for(reader: str, format_: Format, weight: torch.Tensor, scaling: str = ABSMAX) -> QuantizedWeight:
    """A float weight in a format, as the reader has it: ComfyUI's fp8 has one scale, of no dimensions."""
    return _one_scale(weight.float()) if has_one_scale(reader, format_) else format_.quantize(weight, scaling=scaling)


def has_one_scale(reader: str, format_: Format) -> bool:
    """Whether a reader has one scale for all of a weight where the format has many."""
    return reader == COMFYUI and format_ is FP8_CHANNEL


def quantized_parts(format_: Format, weight: QuantizedWeight, reader: str) -> dict[str, torch.Tensor]:
    """The tensors that stored_parts announces, of a weight that is quantized as the reader has it."""
    parts = {WEIGHT: weight.data, SCALE: weight.scale}
    if reader == COMFYUI:
        parts[CORE_TAG] = torch.tensor(list(_tag(format_)), dtype=torch.uint8)
    elif format_ is INT4_MARLIN:
        parts[WORKSPACE] = torch.zeros(format_.shape(weight)[0] // 128 * 16, dtype=torch.int32)
    return parts


def _one_scale(weight: torch.Tensor) -> QuantizedWeight:
    """fp8 codes with one scale for all of a weight."""
    amax = weight.abs().amax().clamp_(min=SMALLEST_AMAX)
    scale = amax / torch.full_like(amax, LARGEST)
    return QuantizedWeight(round_e4m3(weight / scale, None), scale)


def _tag(format_: Format) -> bytes:
    return json.dumps({"format": CORE_NAMES[format_.name]}).encode()
