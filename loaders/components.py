"""The three models that can be quantized, and how a checkpoint of each is told from its keys."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch

from . import clip_keys, t5_keys

Rename = Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]


class Naming(NamedTuple):
    """One way a component's tensors are named.

    marks: keys that a file in this naming has, all of them.
    rename: to ComfyUI's names.
    """

    marks: tuple[str, ...]
    rename: Rename


class Component(NamedTuple):
    """A model that can be quantized.

    title: what a user calls it; folder: ComfyUI's folder type for it; float_loader: the stock node that loads its float files.
    """

    name: str
    title: str
    folder: str
    float_loader: str
    namings: tuple[Naming, ...]

    def naming_of(self, keys: Iterable[str]) -> Naming | None:
        """The naming that these keys follow, or None if they are not this component's."""
        keys = set(keys)
        return next((naming for naming in self.namings if keys.issuperset(naming.marks)), None)


UNUSED_T5 = "logit_scale"
"""A parameter of ComfyUI's that its CLIPSave writes; no text encoder of this family uses it."""


def saved_t5(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """For umt5 files that ComfyUI saved."""
    return {key: tensor for key, tensor in tensors.items() if key != UNUSED_T5}


def same(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """For files that already use ComfyUI's names."""
    return dict(tensors)


_TABLE = (
    # LightX2V keeps Wan's own names for the DiT, and so does ComfyUI.
    Component("dit", "Wan DiT", "diffusion_models", "Load Diffusion Model", (Naming(("blocks.0.self_attn.q.weight", "head.modulation"), same),)),
    Component(
        "t5",
        "umt5 text encoder",
        "text_encoders",
        "Load CLIP (type wan)",
        (
            Naming(("token_embedding.weight", "blocks.0.attn.q.weight"), t5_keys.rename),
            Naming(("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"), saved_t5),
        ),
    ),
    Component(
        "clip",
        "CLIP vision encoder",
        "clip_vision",
        "Load CLIP Vision",
        (
            Naming(("visual.patch_embedding.weight", "visual.transformer.0.attn.to_qkv.weight"), clip_keys.rename),
            Naming(("vision_model.embeddings.class_embedding", "vision_model.encoder.layers.0.self_attn.q_proj.weight"), same),
        ),
    ),
)

COMPONENTS: dict[str, Component] = {component.name: component for component in _TABLE}


def component_of(keys: Iterable[str]) -> Component | None:
    """The component whose checkpoint has these keys."""
    keys = set(keys)
    return next((component for component in _TABLE if component.naming_of(keys)), None)
