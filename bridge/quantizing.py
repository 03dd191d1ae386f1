"""Float tensors into a quantized checkpoint in memory, exactly as converting them and loading the file would give it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import NamedTuple

import comfy.model_management
import torch

from ..convert.memory import Readable, in_memory
from ..convert.names import naming_of, to_original
from ..convert.plan import Plan, plan_of
from ..convert.settings import Settings
from ..convert.source import Source
from ..errors import ConvertError
from ..loaders import Checkpoint
from ..loaders.checkpoint import check_blocks, check_prefix, described, without_prefix
from ..loaders.components import component_of
from ..loaders.foreign import quantized_otherwise
from ..loaders.scaled import SCALES
from .progress import byte_progress

_COPIES = 8
"""How many fp32 copies of a weight quantizing it may take, with room to spare."""


class Quantized(NamedTuple):
    """A checkpoint as the loaders read one. how: it was quantized, in words for the node; None where its file has it so."""

    checkpoint: Checkpoint
    how: str | None


def float_source(path: str, component: str) -> Source | None:
    """The file's tensors if they are a float model of the component; None leaves the file to the reader, whose words fit what it is."""
    source = Source(path)
    own = without_prefix(source.headers)
    rename = _renamer(own)
    found = component_of([rename(key) for key in own])
    if found is None or found.name != component:
        return None
    is_float = all(header.dtype.is_floating_point for header in own.values() if len(header.shape) == 2)
    if not is_float or quantized_otherwise(own) or any(key.endswith(SCALES) for key in own):
        return None
    check_prefix(path, source.headers)
    return source


def quantize(source: Readable, component: str, settings: Settings, when: str, more: Mapping[str, torch.Tensor] | None = None) -> Quantized:
    """The source's tensors, quantized on the device that computes where it has room. more: tensors to add as they are, in a file's names.

    Raises ConvertError as converting them would, and ComfyUI's interruption. There is never more than one float tensor beside the result.
    """
    plan = _plan(source, settings)
    largest = max((prod(source.headers[output.source].shape) for output in plan.outputs if output.format), default=0)
    plan = plan._replace(settings=replace(settings, device=device_for(largest)))
    checkpoint = described(source.path, component, {**in_memory(source, plan, byte_progress()), **(more or {})})
    return Quantized(checkpoint, f"quantized {when}, {settings.scaling}{_unfit(plan)}")


def outline(source: Readable, component: str, settings: Settings) -> Checkpoint:
    """What quantizing the source would give, with tensors on meta, and with the errors that its headers show."""
    outputs = _plan(source, settings).outputs
    tensors = {name: torch.empty(part.shape, dtype=part.dtype, device="meta") for output in outputs for name, part in output.entries}
    return described(source.path, component, tensors)


def _plan(source: Readable, settings: Settings) -> Plan:
    own = without_prefix({key: key for key in source.headers})
    rename = _renamer(own)
    written = {key: rename(bare) for bare, key in own.items()}
    plan = plan_of(source.path, {key: source.headers[key] for key in written}, settings, "", written.__getitem__)
    if not any(output.format for output in plan.outputs):
        raise ConvertError(f"LightQuant can't quantize {source.path} to {settings.format}: no weight of it fits{_unfit(plan)}.")
    check_blocks(source.path, {output.key: source.headers[output.source] for output in plan.outputs})
    return plan


def device_for(largest: int) -> str:
    """Where a weight of so many numbers is quantized: the GPU if it has room for it, else the CPU; the codes are the same."""
    device = comfy.model_management.get_torch_device()
    if device.type != "cuda":  # others lack fp8, or a part of what is computed
        return "cpu"
    needed = _COPIES * torch.float32.itemsize * largest
    comfy.model_management.free_memory(needed, device)
    return str(device) if comfy.model_management.get_free_memory(device) >= needed else "cpu"


def _renamer(keys: Mapping[str, object]) -> Callable[[str], str]:
    """What turns the keys of a DiT into Wan's names; the other components have names of their own."""
    return str if naming_of(keys) is None else to_original


def _unfit(plan: Plan) -> str:
    if not plan.unfit:
        return ""
    key, why = next(iter(plan.unfit.items()))
    return f"; {len(plan.unfit)} weights stay float, such as {key}: {why}"
