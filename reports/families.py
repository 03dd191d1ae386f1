"""Which model a file is and how large, from its keys and shapes alone (the same marks that ComfyUI's model_detection.py goes by)."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..loaders.files import Header

Tensors = Mapping[str, Header]
"""A component's headers, under its own names (no prefix)."""


class Family(NamedTuple):
    """name: the model, with its size where it is a published one; blocks: how many; width: of the residual stream.

    twin: another model of exactly these shapes, or "".
    """

    name: str
    blocks: int
    width: int
    twin: str = ""


class _Wan(NamedTuple):
    """One kind of Wan DiT: the first row of the table whose marks are all there and whose channels fit."""

    name: str
    marks: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    sizes: Mapping[str, str] = {}
    """Size -> the name it goes by where it is not "name size"."""
    twins: Mapping[str, str] = {}
    """Size -> the other models of exactly these shapes."""


_IMAGE = "img_emb.proj.0.bias"
_EXPERT = "one expert (high or low noise)"

_WAN = (
    _Wan("Wan2.1 VACE", ("vace_patch_embedding.weight",), twins={"14B": "an expert of Wan2.2 VACE-Fun A14B"}),
    _Wan("Wan2.1 Fun Camera", ("control_adapter.conv.weight", _IMAGE)),
    _Wan("Wan2.2 Fun Camera", ("control_adapter.conv.weight",), sizes={"14B": f"Wan2.2 Fun Camera A14B, {_EXPERT}"}),
    _Wan("Wan2.2 S2V", ("casual_audio_encoder.encoder.final_linear.weight",)),
    _Wan("HuMo (Wan2.1)", ("audio_proj.audio_proj_glob_1.layer.bias",), sizes={"14B": "HuMo 17B (Wan2.1)", "1.3B": "HuMo 1.7B (Wan2.1)"}),
    _Wan("Wan2.2 Animate", ("face_adapter.fuser_blocks.0.k_norm.weight",)),
    _Wan("SCAIL 2 (Wan2.1)", ("patch_embedding_mask.weight",)),
    _Wan("SCAIL (Wan2.1)", ("patch_embedding_pose.weight",)),
    _Wan("WanDancer (Wan2.2)", ("patch_embedding_global.weight",)),
    _Wan("Wan2.1 FLF2V", ("img_emb.emb_pos",)),
    _Wan("Wan2.1 I2V", (_IMAGE,), channels=(36,), sizes={"1.3B": "Wan2.1 Fun InP 1.3B"}, twins={"14B": "Wan2.1 Fun InP 14B"}),
    _Wan("Wan2.1 Fun Control", (_IMAGE,), channels=(48,)),
    _Wan("Wan2.1 image to video", (_IMAGE,)),
    _Wan("Wan2.2 I2V", channels=(36,), sizes={"14B": f"Wan2.2 I2V-A14B, {_EXPERT}"}, twins={"14B": "an expert of Wan2.2 Fun InP A14B"}),
    _Wan("Wan2.2 Fun Control", channels=(52,), sizes={"14B": f"Wan2.2 Fun Control A14B, {_EXPERT}"}),
    _Wan("Wan2.2 Fun Control", channels=(100,), twins={"5B": "Wan2.2 Fun InP 5B"}),
    _Wan("Wan2.2 TI2V", channels=(48,), sizes={"5B": "Wan2.2 TI2V-5B"}),
    _Wan("Wan2.1 T2V", channels=(16,), twins={"14B": "an expert of Wan2.2 T2V-A14B"}),
    _Wan("Wan"),
)

_WAN_SIZES = {(1536, 30): "1.3B", (3072, 30): "5B", (5120, 40): "14B"}
"""(width, blocks) -> what the model's publishers call it."""

_VIT_NAMES = {(1280, 32): "ViT-H/14", (1024, 24): "ViT-L/14", (1664, 48): "ViT-bigG/14"}

_UMT5_XXL = (4096, 24, 10240)
"""Width, blocks, width of the feed-forward layers."""


def family_of(component: str, tensors: Tensors) -> Family:
    """The family of a component's file."""
    return _READERS[component](tensors)


def _dit(tensors: Tensors) -> Family:
    width, blocks = tensors["head.modulation"].shape[-1], _count(tensors, r"blocks")
    patch = tensors.get("patch_embedding.weight")
    channels = patch.shape[1] if patch and len(patch.shape) > 1 else 0
    kind = next(each for each in _WAN if _fits(each, tensors, channels))
    size = _WAN_SIZES.get((width, blocks))
    if size is None:
        return Family(kind.name, blocks, width)
    return Family(kind.sizes.get(size, f"{kind.name} {size}"), blocks, width, kind.twins.get(size, ""))


def _fits(kind: _Wan, tensors: Tensors, channels: int) -> bool:
    return all(mark in tensors for mark in kind.marks) and (not kind.channels or channels in kind.channels)


def _t5(tensors: Tensors) -> Family:
    embedding = tensors.get("token_embedding.weight") or tensors["shared.weight"]
    words, width = embedding.shape
    blocks = _count(tensors, r"(?:encoder\.)?blocks?")
    wide = next((h.shape[0] for key, h in tensors.items() if key.endswith((".ffn.fc1.weight", ".DenseReluDense.wi_1.weight"))), 0)
    if (width, blocks, wide) == _UMT5_XXL:
        return Family("umt5-xxl", blocks, width)
    return Family(f"umt5 of {words} words", blocks, width)


def _clip(tensors: Tensors) -> Family:
    patch = tensors.get("visual.patch_embedding.weight") or tensors.get("vision_model.embeddings.patch_embedding.weight")
    blocks = _count(tensors, r"(?:visual\.transformer|vision_model\.encoder\.layers)")
    width = patch.shape[0] if patch else 0
    return Family(_VIT_NAMES.get((width, blocks), "ViT"), blocks, width)


_READERS: dict[str, Callable[[Tensors], Family]] = {"dit": _dit, "t5": _t5, "clip": _clip}


def _count(tensors: Tensors, group: str) -> int:
    pattern = re.compile(rf"{group}\.(\d+)\.")
    return len({found[1] for key in tensors if (found := pattern.match(key))})
