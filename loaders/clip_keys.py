"""The CLIP vision encoder's keys in LightX2V's (Wan's open-clip) `.pth` files, and ComfyUI's for them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch

from ..errors import CheckpointError
from ..formats import INT4_MARLIN
from .rename import Table, inverse, rename_keys

_LAYER, _NEW_LAYER = "visual.transformer.#.", "vision_model.encoder.layers.#."
_FUSED, _LETTERS = "qkv_proj", "qkv"
_PART = re.compile(rf"\b[{_LETTERS}]_proj\b")

TABLE: Table = (
    ("visual.patch_embedding", "vision_model.embeddings.patch_embedding"),
    ("visual.pre_norm", "vision_model.pre_layrnorm"),  # ComfyUI spells it so
    ("visual.post_norm", "vision_model.post_layernorm"),
    (_LAYER + "norm1", _NEW_LAYER + "layer_norm1"),
    (_LAYER + "norm2", _NEW_LAYER + "layer_norm2"),
    (_LAYER + "attn.to_qkv", f"{_NEW_LAYER}self_attn.{_FUSED}"),
    (_LAYER + "attn.proj", _NEW_LAYER + "self_attn.out_proj"),
    (_LAYER + "mlp.0", _NEW_LAYER + "mlp.fc1"),
    (_LAYER + "mlp.2", _NEW_LAYER + "mlp.fc2"),
)

Reshape = Callable[[torch.Tensor], torch.Tensor]


class _Bare(NamedTuple):
    """A parameter that is in no layer. new: ComfyUI's key; forth and back: to ComfyUI's shape of it and to Wan's."""

    new: str
    forth: Reshape
    back: Reshape


_BARE = {
    "visual.cls_embedding": _Bare("vision_model.embeddings.class_embedding", lambda t: t.reshape(-1), lambda t: t.reshape(1, 1, -1)),
    "visual.pos_embedding": _Bare("vision_model.embeddings.position_embedding.weight", lambda t: t.squeeze(0), lambda t: t.unsqueeze(0)),
    "visual.head": _Bare("visual_projection.weight", lambda t: t.t().contiguous(), lambda t: t.t().contiguous()),
}

LOG_SCALE = "log_scale"
"""Of the text half, too: no picture depends on it, but LightX2V loads no CLIP without it."""

_IGNORED = ("textual.", LOG_SCALE)
"""The text half of the model, which Wan does not use."""


def rename(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under ComfyUI's names; the fused q, k and v become three, as views of their outputs.

    Raises CheckpointError on a key that no such model has, and on a part of a fused layer whose weight is not there.
    """
    tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(_IGNORED)}
    renamed = {bare.new: bare.forth(tensors.pop(old)) for old, bare in _BARE.items() if old in tensors}
    for old, new in rename_keys(tensors, TABLE).items():
        if _FUSED in new:
            weight = f"{old.rsplit('.', 1)[0]}.weight"
            if weight not in tensors:
                raise CheckpointError(f"it has {old} without {weight}. The checkpoint is incomplete: fetch it again.")
            outputs = 1 if tensors[weight].dtype is INT4_MARLIN.dtype and not old.endswith(".bias") else 0
            for letter, part in zip(_LETTERS, tensors[old].chunk(3, dim=outputs), strict=True):
                renamed[new.replace(_FUSED, f"{letter}_proj")] = part
        else:
            renamed[new] = tensors[old]
    return renamed


def wan_keys(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Wan's key -> ComfyUI's keys that are put together for it, their outputs one behind the other, of the keys of a model in ComfyUI."""
    bare = {bare.new: old for old, bare in _BARE.items()}
    fused = dict.fromkeys(_PART.sub(_FUSED, key) for key in keys if key not in bare)
    found = {bare[key]: (key,) for key in keys if key in bare}
    for new, old in rename_keys(fused, inverse(TABLE)).items():
        found[old] = tuple(new.replace(_FUSED, f"{letter}_proj") for letter in _LETTERS) if _FUSED in new else (new,)
    return found


def log_scale() -> torch.Tensor:
    """The one that CLIP's training begins with, fp32, for files of LightX2V's that are made of ComfyUI's, which lack it."""
    return torch.tensor(math.log(1 / 0.07))


def wan_shape(old: str, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of ComfyUI's in the shape that it has under Wan's key."""
    return _BARE[old].back(tensor) if old in _BARE else tensor
