"""The ways in which 8-bit weights carry their scale, LightX2V's and ComfyUI's, brought to one: `.weight_scale`, a scale an output row."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping

import torch

from ..errors import CheckpointError
from ..formats import PACKINGS, Format, format_of, in_order
from .files import Header

SCALES = (".weight_scale", ".scale_weight")
"""Behind a layer's name: LightX2V and ComfyUI today; LightX2V's `_comfyui` files and ComfyUI's older scaled fp8 files."""

MARKER = "scaled_fp8"
"""A tensor of no use but to say that the fp8 weights beside it have scales; its dtype is theirs."""

WORKSPACE = ".weight_workspace"
"""Scratch memory that LightX2V's Marlin files carry for each weight."""

_UNUSED = (".input_scale", ".scale_input", WORKSPACE)
"""What is left out: scales for activations were measured beforehand, and ours are taken from each row as it comes."""

CORE_TAG, CORE_HEADER = ".comfy_quant", "_quantization_metadata"
_CORE_FORMATS = {"float8_e4m3fn", "int8_tensorwise"}
_HARMLESS = {"format", "full_precision_matrix_mult", "params", "per_row", "orig_dtype"}
"""What a layer's tag may say without changing what its codes mean."""


PREFIXES = ("model.diffusion_model.", "diffusion_model.")
"""Before a DiT's own names, in files that may hold other models too."""


def bare_name(key: str) -> str:
    """A key or a layer's name without the prefix."""
    return next((key[len(prefix) :] for prefix in PREFIXES if key.startswith(prefix)), key)


def stored_formats(tensors: Mapping[str, torch.Tensor | Header]) -> tuple[str, ...]:
    """The names of the formats that the weights with a scale are stored in; none if there are no scales, or others than ours.

    A layer whose scale has the shape of no format is damaged, which is not for here to say.
    """
    layers = [layer for layer in _scaled_layers(tensors) if layer + ".weight" in tensors]
    found = {format_.name for layer in layers if (format_ := _format_of(tensors, layer))}
    dtypes = {format_.dtype for format_ in PACKINGS if format_.name in found}
    return in_order(found) if all(tensors[layer + ".weight"].dtype in dtypes for layer in layers) else ()


def logical_shape(tensors: Mapping[str, torch.Tensor | Header], key: str) -> tuple[int, ...]:
    """The shape of a tensor's numbers, which a format may pack."""
    layer, shape = key.removesuffix(".weight"), tuple(tensors[key].shape)
    is_scaled = key.endswith(".weight") and any(layer + suffix in tensors for suffix in SCALES)
    found = _format_of(tensors, layer) if is_scaled else None
    return found.shape_of(shape) if found else shape


def to_row_scales(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """The tensors with every scale as `.weight_scale` [N, 1] fp32 and nothing else left of ComfyUI's ways; the codes are not touched.

    Raises CheckpointError where ComfyUI's tags say that the codes mean something else than code times scale, and where a weight has two scales.
    """
    _check_tags({**_tags(tensors), **_tags_in(metadata, tensors)})
    kept = {key: tensor for key, tensor in tensors.items() if key != MARKER and not key.endswith((CORE_TAG, *_UNUSED))}
    layers = _scaled_layers(kept)
    twice = next((layer for layer, count in Counter(layers).items() if count > 1), None)
    if twice is not None:
        both = " and ".join(twice + suffix for suffix in SCALES)
        raise CheckpointError(f"it has two scales for one weight: {both}. Convert or fetch the file again.")
    for layer in layers:
        scale = next(kept.pop(layer + suffix) for suffix in SCALES if layer + suffix in kept)
        weight = kept.get(layer + ".weight")
        if weight is not None and weight.ndim == 2 and scale.numel() == 1:
            scale = scale.float().reshape(1, 1).expand(weight.shape[0], 1).contiguous()
        kept[layer + ".weight_scale"] = scale
    return kept


def _format_of(tensors: Mapping[str, torch.Tensor | Header], layer: str) -> Format | None:
    weight = tensors[layer + ".weight"]
    scale = next(tuple(tensors[layer + suffix].shape) for suffix in SCALES if layer + suffix in tensors)
    if math.prod(scale) == 1 and weight.shape:
        scale = (weight.shape[0], 1)  # as to_row_scales makes it
    return format_of(weight.dtype, tuple(weight.shape), scale)


def _scaled_layers(keys: Iterable[str]) -> list[str]:
    return [key.removesuffix(suffix) for key in keys for suffix in SCALES if key.endswith(suffix)]


def _tags(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict]:
    tagged = {key.removesuffix(CORE_TAG): tensor for key, tensor in tensors.items() if key.endswith(CORE_TAG)}
    return {layer: _parsed(tensor.contiguous().view(torch.uint8).numpy().tobytes(), layer) for layer, tensor in tagged.items()}


def _tags_in(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> dict[str, dict]:
    """The tags in a file's header, of the layers that are this model's: a file may hold other models beside it."""
    text = metadata.get(CORE_HEADER)
    layers = _parsed(text, CORE_HEADER).get("layers") if text else {}
    if not isinstance(layers, dict) or not all(isinstance(tag, dict) for tag in layers.values()):
        raise CheckpointError(f"ComfyUI's tag of {CORE_HEADER} is damaged (it has no layers). Download or convert the file again.")
    return {layer: tag for full, tag in layers.items() if f"{(layer := bare_name(full))}.weight" in tensors}


def _parsed(text: bytes | str, where: str) -> dict:
    try:
        parsed = json.loads(text)
        if not isinstance(parsed, dict) or not isinstance(parsed.get("params") or {}, dict):
            raise ValueError("it is no table")
    except (ValueError, RecursionError) as problem:
        raise CheckpointError(f"ComfyUI's tag of {where} is damaged ({problem}). Download or convert the file again.") from problem
    return parsed


def _check_tags(tags: Mapping[str, dict]) -> None:
    for layer, tag in tags.items():
        more = {**tag, **(tag.get("params") or {})}
        different = sorted(key for key, value in more.items() if value and key not in _HARMLESS and not key.endswith("groupsize"))
        if tag.get("format") not in _CORE_FORMATS or different:
            what = " with ".join(filter(None, (str(tag.get("format")), " and ".join(different))))
            known = " and ".join(sorted(_CORE_FORMATS))
            raise CheckpointError(f"ComfyUI's tag of {layer} says {what}, where LightQuant reads {known}. Load it with ComfyUI's own loader.")
