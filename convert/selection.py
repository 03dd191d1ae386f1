"""Which tensors of a component are quantized: those that LightX2V's converter quantizes, under any of the names that a component's tensors have."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

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
    """Whether a tensor is quantized. keep: patterns of further keys that stay float."""
    if len(shape) != 2 or any(fnmatchcase(key, pattern) for pattern in keep):
        return False
    return any(pattern.fullmatch(key) for pattern in _QUANTIZED[component])


def layers_in(component: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Of tensors with these shapes, those that can be quantized, and what a recipe calls their layers: a DiT's in Wan's own names."""
    found = {key: key.removesuffix(".weight") for key, shape in shapes.items() if is_quantized(component, key, shape, ())}
    return {key: to_original(layer) for key, layer in found.items()} if component == "dit" else found


def is_left_out(component: str, key: str) -> bool:
    """Whether no file of the component has this tensor."""
    return key.startswith(_LEFT_OUT.get(component, ()))
