"""A checkpoint: what a file holds, in ComfyUI's names, with its quantized weights apart from the rest."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from ..errors import CheckpointError
from ..formats import PACKINGS, Format, QuantizedWeight, format_of, in_order, mixture, stored_as
from ..schemes import schemes_of
from .blocks import absent_blocks, promised_depth
from .components import COMPONENTS, component_of
from .foreign import describe_foreign, quantized_otherwise
from .scaled import PREFIXES, to_row_scales
from .storage import Opener, open_storage, storage_of

Entry = TypeVar("Entry")

SPIECE = "spiece_model"
"""The key under which ComfyUI's umt5 files carry the tokenizer."""


@dataclass(frozen=True)
class Checkpoint:
    """One component as a file has it.

    weights: the quantized weights by layer name (no ".weight"), as stored; scales as the format keeps them.
    tensors: every other tensor by key.
    spiece: the tokenizer, if the file carries one (uint8).
    """

    path: str
    component: str
    weights: Mapping[str, QuantizedWeight]
    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    spiece: torch.Tensor | None = None

    @property
    def formats(self) -> tuple[str, ...]:
        """The names of the formats that its layers have, in the table's order."""
        return in_order(stored_as(weight).name for weight in self.weights.values())

    @property
    def format(self) -> str | None:
        """The same in words; None where nothing is quantized."""
        return mixture(self.formats)


def read(path: str, component: str, open_file: Opener) -> Checkpoint:
    """Read the component's checkpoint at path.

    Raises CheckpointError where the file can't be read, is another model, is not quantized in a format of the pack, or is damaged.
    """
    return described(path, component, *open_storage(path, open_file))


def described(path: str, component: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> Checkpoint:
    """The checkpoint that these tensors, in a file's names, are. path: where they come from, for the errors. Raises CheckpointError as read does."""
    expected = COMPONENTS[component]
    check_prefix(path, tensors)
    tensors = without_prefix(tensors)
    naming = expected.naming_of(tensors)
    if naming is None:
        found = component_of(tensors)
        what = f"a {found.title}" if found else describe_foreign(tensors)
        raise _error(path, f"it is {what}, where a {expected.title} is needed. Pick another file, or the loader that fits this one.")
    spiece = tensors.pop(SPIECE, None)
    foreign = quantized_otherwise(tensors)
    if foreign:
        raise _error(path, f"it is {foreign.what}. {foreign.then}")
    with _naming(path):
        tensors = naming.rename(to_row_scales(tensors, metadata or {}))
    check_blocks(path, tensors)
    with _naming(path):
        weights = _take_weights(tensors)
    return Checkpoint(path, component, weights, tensors, dict(metadata or {}), spiece)


def not_quantized(path: str, component: str) -> CheckpointError:
    """The error for a float file where a quantized one is needed."""
    known = COMPONENTS[component]
    return _error(
        path,
        f"it is a {known.title} that is not quantized: none of its weights has a scale. Pick a scheme to quantize it while it loads, load it with "
        f'ComfyUI\'s own node "{known.float_loader}", or pick one of LightX2V\'s fp8 or int8 files.',
    )


def scheme_does_not_fit(checkpoint: Checkpoint, scheme: str, scheme_format: str) -> str:
    """The text for a scheme whose format no layer of the file has: names both and the schemes that do fit."""
    fitting = [name for format_name in checkpoint.formats for name in schemes_of(format_name)]
    return (
        f"{os.path.basename(checkpoint.path)} is stored as {checkpoint.format}, but the scheme {scheme} reads {scheme_format}. "
        f"Schemes that fit this file: {', '.join(fitting)}; or pick auto."
    )


def _error(path: str, problem: str) -> CheckpointError:
    return CheckpointError(f"LightQuant can't load {path}: {problem}")


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Names the file in errors of what knows only its tensors."""
    try:
        yield
    except CheckpointError as problem:
        raise _error(path, str(problem)) from problem


def without_prefix(tensors: Mapping[str, Entry]) -> dict[str, Entry]:
    """The model's tensors (or whatever the keys lead to) under its own names, in a file that may hold more than the model."""
    for prefix in PREFIXES:
        kept = {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        if kept:
            return kept
    return dict(tensors)


def check_prefix(path: str, tensors: Mapping[str, Entry]) -> None:
    """Raise CheckpointError where some of the model's tensors lack the prefix that the others have: without them it would be another model."""
    bare = without_prefix(tensors)
    own = {key.split(".", 1)[0] for key in bare}
    left = sorted(key for key in tensors if not key.startswith(PREFIXES) and key.split(".", 1)[0] in own)
    if left and len(bare) < len(tensors):
        names = ", ".join(left[:5])
        raise _error(path, f"it has {len(left)} keys without the prefix that the model's others have: {names}. Convert or fetch the file again.")


def check_blocks(path: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise CheckpointError where a block of the model, in ComfyUI's names, is missing."""
    absent = absent_blocks(tensors)
    if "head.modulation" in tensors:
        depth = promised_depth(storage_of(path), tensors["head.modulation"].shape[-1])
        absent += [f"blocks.{number}" for number in range(depth) if f"blocks.{number}.modulation" not in tensors]
    if absent:
        raise _error(path, f"the block {absent[0]} is absent. The checkpoint is incomplete: fetch it again.")


def _format_of_layer(data: torch.Tensor, scale: torch.Tensor | None) -> Format | None:
    return None if scale is None else format_of(data.dtype, tuple(data.shape), tuple(scale.shape))


def _take_weights(tensors: dict[str, torch.Tensor]) -> dict[str, QuantizedWeight]:
    """Move the quantized weights and their scales out of tensors; each has a format of its own, and is checked against it."""
    coded = {format_.dtype for format_ in PACKINGS}
    names = [key.removesuffix(".weight") for key, tensor in tensors.items() if key.endswith(".weight") and tensor.dtype in coded]
    layers = {name: _format_of_layer(tensors[f"{name}.weight"], tensors.get(f"{name}.weight_scale")) for name in names}
    fitting = Counter(filter(None, layers.values()))
    for name in names:
        # A layer that fits nothing is called damaged in the words of the others' format.
        same = [format_ for format_ in PACKINGS if format_.dtype == tensors[f"{name}.weight"].dtype]
        layers[name] = layers[name] or max(same, key=lambda format_: fitting[format_])
    if layers and not any(key.endswith(".weight_scale") for key in tensors):
        raise CheckpointError(
            f"its {len(layers)} 8-bit weights have no scales: it is a plain cast of a float model, not one of LightX2V's quantized files. "
            "Load it with ComfyUI's own loader."
        )
    weights = {}
    for layer, format_ in layers.items():
        data, scale = (tensors.pop(layer + suffix, None) for suffix in (format_.keys["data"], format_.keys["scale"]))
        problem = format_.problem(data, scale)
        if problem:
            raise CheckpointError(f"the layer {layer} is damaged or of another format: {problem}. Download or convert the file again.")
        weights[layer] = QuantizedWeight(data.contiguous(), format_.kept_scale(scale).contiguous())
    orphans = sorted(key for key in tensors if key.endswith(".weight_scale"))
    other = next((layer for layer in (key.removesuffix(".weight_scale") for key in orphans) if _is_e5m2(tensors.get(f"{layer}.weight"))), None)
    if other:
        raise CheckpointError(
            f"its weights, such as {other}, are fp8 of the kind e5m2, which LightQuant does not read. Load it with ComfyUI's own loader."
        )
    if orphans:
        raise CheckpointError(f"it has scales without a quantized weight: {', '.join(orphans[:5])}. Download or convert the file again.")
    return weights


def _is_e5m2(tensor: torch.Tensor | None) -> bool:
    return tensor is not None and tensor.dtype is torch.float8_e5m2
