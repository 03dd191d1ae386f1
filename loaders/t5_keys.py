"""umt5's keys in LightX2V's (Wan's) `.pth` files, and ComfyUI's for them."""

from collections.abc import Iterable, Mapping

import torch

from .rename import Table, inverse, rename_keys

_SELF_ATTENTION, _FEED_FORWARD = "encoder.block.#.layer.0.", "encoder.block.#.layer.1."

TABLE: Table = (
    ("token_embedding", "shared"),
    ("norm", "encoder.final_layer_norm"),
    ("blocks.#.norm1", _SELF_ATTENTION + "layer_norm"),
    ("blocks.#.norm2", _FEED_FORWARD + "layer_norm"),
    *((f"blocks.#.attn.{letter}", f"{_SELF_ATTENTION}SelfAttention.{letter}") for letter in "qkvo"),
    ("blocks.#.pos_embedding.embedding", _SELF_ATTENTION + "SelfAttention.relative_attention_bias"),
    # gate.0 is the branch that passes through GELU.
    ("blocks.#.ffn.gate.0", _FEED_FORWARD + "DenseReluDense.wi_0"),
    ("blocks.#.ffn.fc1", _FEED_FORWARD + "DenseReluDense.wi_1"),
    ("blocks.#.ffn.fc2", _FEED_FORWARD + "DenseReluDense.wo"),
)


def rename(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under ComfyUI's names."""
    return {new: tensors[old] for old, new in rename_keys(tensors, TABLE).items()}


def wan_keys(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Wan's key -> ComfyUI's key that it is, of the keys of a model in ComfyUI."""
    return {old: (new,) for new, old in rename_keys(keys, inverse(TABLE)).items()}
