"""Which tensors of a component are quantized: those that LightX2V's converter quantizes, under any of the names that a component's tensors have."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from ..errors import ConvertError
from ..loaders.rename import inverse, rename_keys
from ..loaders.t5_keys import TABLE
from .names import to_original

_QUANTIZED: dict[str, tuple[re.Pattern[str], ...]] = {
    "dit": (
        re.compile(r"(vace_)?blocks\.\d+\.(self_attn|cross_attn|ffn)\.[^.]+\.weight"),
        re.compile(r"(vace_)?blocks\.\d+\.(attn1|attn2|ffn)\..+\.weight"),
    ),
    "t5": (
        re.compile(r"blocks\.\d+\.(attn|ffn)\..+\.weight"),
        re.compile(r"encoder\.block\.\d+\.layer\.\d+\.(SelfAttention\.[qkvo]|DenseReluDense\.w[io](_[01])?)\.weight"),
    ),
    "clip": (
        re.compile(r"visual\.transformer\.\d+\.(attn|mlp)\..+\.weight"),
        re.compile(r"vision_model\.encoder\.layers\.\d+\.(self_attn|mlp)\..+\.weight"),
    ),
}
"""Component -> keys, in Wan's names and in those of diffusers, transformers and ComfyUI; of these, the ones with two dimensions."""

_LEFT_OUT: dict[str, tuple[str, ...]] = {"clip": ("textual.",)}
"""Component -> beginnings of keys that no loader of it reads: the text half of Wan's CLIP file."""

USUAL_DTYPE = {"dit": "bf16", "t5": "bf16", "clip": "fp16"}
"""Component -> the dtype of what stays float in LightX2V's published files."""


def is_quantized(component: str, key: str, shape: Sequence[int], keep: Sequence[str]) -> bool:
    """Whether a tensor is quantized. keep: patterns of further keys that stay float, with their ".weight" or without it."""
    if len(shape) != 2 or any(_fits(key, pattern) for pattern in keep):
        return False
    return any(pattern.fullmatch(key) for pattern in _QUANTIZED[component])


def check_keep(path: str, keys: Iterable[str], keep: Sequence[str]) -> None:
    """Raise ConvertError where a pattern fits none of the keys: what it was meant to keep float would be quantized."""
    keys = list(keys)
    unknown = [pattern for pattern in keep if not any(_fits(key, pattern) for key in keys)]
    if unknown:
        raise ConvertError(
            f"{len(unknown)} of the patterns of what stays float fit no tensor of {path}: {', '.join(unknown[:5])}. "
            f"Its tensors have names such as {keys[-1]}. Correct the patterns, or leave them out."
        )


def _fits(key: str, pattern: str) -> bool:
    return fnmatchcase(key, pattern) or fnmatchcase(key.removesuffix(".weight"), pattern)


def layers_in(component: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Of tensors with these shapes, those that can be quantized, and what a recipe calls their layers: in Wan's own names."""
    found = [key for key, shape in shapes.items() if is_quantized(component, key, shape, ())]
    return {key: name.removesuffix(".weight") for key, name in _in_wans_names(component, found).items()}


def _in_wans_names(component: str, keys: Iterable[str]) -> dict[str, str]:
    """A CLIP's in ComfyUI's names stay: three of them are one in Wan's."""
    if component == "dit":
        return {key: to_original(key) for key in keys}
    renamed = rename_keys((key for key in keys if key.startswith("encoder.")), inverse(TABLE)) if component == "t5" else {}
    return {key: renamed.get(key, key) for key in keys}


def is_left_out(component: str, key: str) -> bool:
    """Whether no file of the component has this tensor."""
    return key.startswith(_LEFT_OUT.get(component, ()))
