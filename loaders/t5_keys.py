"""umt5's keys in LightX2V's (Wan's) `.pth` files, and ComfyUI's for them."""

from collections.abc import Mapping

import torch

from .rename import Table, rename_keys

_BLOCK = r"blocks\.(\d+)\."
_SELF_ATTENTION, _FEED_FORWARD = r"encoder.block.\1.layer.0.", r"encoder.block.\1.layer.1."

TABLE: Table = (
    (r"token_embedding", "shared"),
    (r"norm", "encoder.final_layer_norm"),
    (_BLOCK + r"norm1", _SELF_ATTENTION + "layer_norm"),
    (_BLOCK + r"norm2", _FEED_FORWARD + "layer_norm"),
    (_BLOCK + r"attn\.([qkvo])", _SELF_ATTENTION + r"SelfAttention.\2"),
    (_BLOCK + r"pos_embedding\.embedding", _SELF_ATTENTION + "SelfAttention.relative_attention_bias"),
    # gate.0 is the branch that passes through GELU.
    (_BLOCK + r"ffn\.gate\.0", _FEED_FORWARD + "DenseReluDense.wi_0"),
    (_BLOCK + r"ffn\.fc1", _FEED_FORWARD + "DenseReluDense.wi_1"),
    (_BLOCK + r"ffn\.fc2", _FEED_FORWARD + "DenseReluDense.wo"),
)


def rename(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under ComfyUI's names."""
    return {new: tensors[old] for old, new in rename_keys(tensors, TABLE).items()}
