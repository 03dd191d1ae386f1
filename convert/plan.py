"""What a conversion will do, known from the source's headers alone: every tensor that will be written, its place and its size."""

import re
from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

from ..errors import ConvertError
from ..formats import ABSMAX, DTYPES, FP8_CHANNEL, Format, mixture
from ..loaders.components import COMPONENTS
from ..loaders.files import Header
from .floats import float_component, of_others
from .for_comfyui import names_for_comfyui
from .recipe import FLOAT
from .selection import USUAL_DTYPE, check_keep, is_left_out, is_quantized, layers_in
from .settings import COMFYUI, LIGHTX2V, SINGLE, SPLIT, Settings
from .stored import CORE_NAMES, Stored, packing_for, stored_parts

CHUNK = 100
"""Tensors in a file of a chunked checkpoint, as in LightX2V's; fewer where the next layer's would not all fit."""

NOT_IN_CORE = ("clip",)
"""The components whose own loader in ComfyUI takes the codes of a quantized file for its weights, without a word."""

_BLOCK = re.compile(r"(?:blocks|encoder\.block|visual\.transformer|encoder\.layers)\.(\d+)\.")
"""A block in the names of any component."""

_FACE_BLOCKS = 5
"""Wan Animate has a face adapter for every fifth block, which LightX2V keeps in that block's file."""


class Output(NamedTuple):
    """A source tensor and what is written of it. format: it is quantized to; None: it stays float, or is copied where it is no float.

    stored: suffix behind the layer's name (or "" where nothing is split off) -> dtype and shape.
    """

    source: str
    key: str
    format: Format | None
    stored: Mapping[str, Stored]

    @property
    def names(self) -> list[str]:
        """The keys that it is written under."""
        return [self.key.removesuffix(".weight") + suffix if suffix else self.key for suffix in self.stored]

    @property
    def entries(self) -> list[tuple[str, Stored]]:
        """Each of them with what is written under it."""
        return list(zip(self.names, self.stored.values(), strict=True))

    @property
    def nbytes(self) -> int:
        return sum(each.nbytes for each in self.stored.values())


class Plan(NamedTuple):
    """component: what the source is; files: name -> what is written into it, in order; left_out: keys that are not written.

    unfit: keys that would be quantized but don't fit the format, with the reason.
    """

    component: str
    settings: Settings
    files: Mapping[str, tuple[Output, ...]]
    left_out: tuple[str, ...]
    unfit: Mapping[str, str]

    @property
    def outputs(self) -> list[Output]:
        return [output for outputs in self.files.values() for output in outputs]

    @property
    def nbytes(self) -> int:
        return sum(output.nbytes for output in self.outputs)

    @property
    def format(self) -> str:
        """How the quantized weights are stored, in words."""
        return mixture(output.format.name for output in self.outputs if output.format) or FLOAT


def plan_of(path: str, headers: Mapping[str, Header], settings: Settings, name: str, rename: Callable[[str], str] = str) -> Plan:
    """The plan for a source's headers. name: of the file to write, without its end; rename: source key -> written key.

    Raises ConvertError where the source is none of the components, is quantized already, or the format can't be written for the reader.
    """
    component = float_component(path, headers)
    others = set(of_others(headers))
    own = {key: header for key, header in headers.items() if key not in others}
    if settings.reader == COMFYUI:
        rename = _then(rename, names_for_comfyui(component.name, own))
    chosen = _chosen(path, component.name, {rename(key): header.shape for key, header in own.items()}, settings)
    dtype = DTYPES[settings.dtype or USUAL_DTYPE[component.name]]
    left_out = tuple(key for key in headers if key in others or is_left_out(component.name, key))
    outputs, unfit = [], {}
    for key, header in own.items():
        if key in left_out:
            continue
        new = rename(key)
        format_ = chosen.get(new)
        problem = format_ and _problem(format_, header.shape)
        if problem:
            unfit[key], format_ = problem, None
        outputs.append(Output(key, new, format_, stored_parts(format_, header.shape, header.dtype, dtype, settings.reader)))
    _check_names(path, outputs)
    return Plan(component.name, settings, _in_files(outputs, settings.layout, name), left_out, unfit)


def _then(first: Callable[[str], str], second: Callable[[str], str]) -> Callable[[str], str]:
    return lambda key: second(first(key))


def _chosen(path: str, component: str, shapes: Mapping[str, tuple[int, ...]], settings: Settings) -> dict[str, Format]:
    """The format of every tensor that is to be quantized, by the key that it is written under. shapes: of all tensors, by the same."""
    check_keep(path, shapes, settings.keep)
    layers = layers_in(component, shapes)
    if settings.recipe:
        settings.recipe.check(path, component, {layer: prod(shapes[key]) for key, layer in layers.items()})
    asked = {key: settings.format_of(layer) for key, layer in layers.items() if is_quantized(component, key, shapes[key], settings.keep)}
    return {key: _format_for(component, settings, format_name, layers[key]) for key, format_name in asked.items() if format_name}


def _format_for(component: str, settings: Settings, format_name: str, layer: str) -> Format:
    """The packing of a format that the reader reads."""
    check_reader(component, format_name, settings.reader, f", which the recipe asks for {layer}" if settings.recipe else "")
    if settings.reader == COMFYUI and format_name == FP8_CHANNEL.name and settings.scaling != ABSMAX:
        raise ConvertError(f"ComfyUI's fp8 has one scale a tensor, which scale {settings.scaling} does not search. Leave it at {ABSMAX}.")
    return packing_for(format_name)


def check_reader(component: str, format_name: str, reader: str, asked: str = "") -> None:
    """Raise ConvertError where the reader has nothing like a format of a component. asked: which layer has the format, in words to add."""
    if reader != COMFYUI:
        return
    if format_name not in CORE_NAMES:
        raise ConvertError(
            f"ComfyUI itself has nothing like {format_name}{asked}, so for {COMFYUI} it can't be written. "
            f"Write it for {LIGHTX2V}, whose files this pack reads in ComfyUI, or take int8-channel."
        )
    if component in NOT_IN_CORE:
        raise ConvertError(
            f"ComfyUI's own loader for a {COMPONENTS[component].title} reads nothing quantized, so for {COMFYUI} it can't be written. "
            f"Write it for {LIGHTX2V}, whose files this pack reads in ComfyUI."
        )


def planned(component: str, settings: Settings, outputs: list[Output], name: str) -> Plan:
    """The plan to write these outputs, which something else has chosen. name: of the file, without its end."""
    return Plan(component, settings, _in_files(outputs, settings.layout, name), (), {})


def _problem(format_: Format, shape: tuple[int, ...]) -> str | None:
    """Why a weight can't be stored in a format."""
    return None if format_.stores(shape) else f"{format_.name} does not divide {' x '.join(map(str, shape))}"


def _check_names(path: str, outputs: list[Output]) -> None:
    seen: dict[str, str] = {}
    for output in outputs:
        for name in output.names:
            if name in seen:
                raise ConvertError(f"LightQuant can't convert {path}: {seen[name]} and {output.source} would both be written as {name}.")
            seen[name] = output.source


def _in_files(outputs: list[Output], layout: str, name: str) -> dict[str, tuple[Output, ...]]:
    if layout == SINGLE:
        return {f"{name}.safetensors": tuple(outputs)}
    files: dict[str, list[Output]] = {}
    part, written = 0, 0
    for output in outputs:
        if layout == SPLIT:
            files.setdefault(f"{_part_of(output.key)}.safetensors", []).append(output)
        else:
            if written + len(output.stored) > CHUNK:
                part, written = part + 1, 0
            files.setdefault(f"{name}_part{part}.safetensors", []).append(output)
            written += len(output.stored)
    return {file: tuple(held) for file, held in files.items()}


def _part_of(key: str) -> str:
    block = _BLOCK.search(key)
    if block is None:
        return "non_block"
    return f"block_{int(block[1]) * (_FACE_BLOCKS if 'face_adapter' in key else 1)}"
