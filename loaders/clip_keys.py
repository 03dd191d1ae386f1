"""The CLIP vision encoder's keys in LightX2V's (Wan's open-clip) `.pth` files, and ComfyUI's for them."""

from collections.abc import Mapping

import torch

from ..formats import INT4_MARLIN
from .rename import Table, rename_keys

_LAYER, _NEW_LAYER = r"visual\.transformer\.(\d+)\.", r"vision_model.encoder.layers.\1."

TABLE: Table = (
    (r"visual\.patch_embedding", "vision_model.embeddings.patch_embedding"),
    (r"visual\.pre_norm", "vision_model.pre_layrnorm"),  # ComfyUI spells it so
    (r"visual\.post_norm", "vision_model.post_layernorm"),
    (_LAYER + r"norm1", _NEW_LAYER + "layer_norm1"),
    (_LAYER + r"norm2", _NEW_LAYER + "layer_norm2"),
    (_LAYER + r"attn\.to_qkv", _NEW_LAYER + "self_attn.qkv_proj"),
    (_LAYER + r"attn\.proj", _NEW_LAYER + "self_attn.out_proj"),
    (_LAYER + r"mlp\.0", _NEW_LAYER + "mlp.fc1"),
    (_LAYER + r"mlp\.2", _NEW_LAYER + "mlp.fc2"),
)

_IGNORED = ("textual.", "log_scale")
"""The text half of the model, which Wan does not use."""


def rename(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under ComfyUI's names; the fused q, k and v become three, as views of their outputs."""
    tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(_IGNORED)}
    bare = {
        "visual.cls_embedding": ("vision_model.embeddings.class_embedding", lambda t: t.reshape(-1)),
        "visual.pos_embedding": ("vision_model.embeddings.position_embedding.weight", lambda t: t.squeeze(0)),
        "visual.head": ("visual_projection.weight", lambda t: t.t().contiguous()),
    }
    renamed = {new: reshape(tensors.pop(old)) for old, (new, reshape) in bare.items() if old in tensors}
    for old, new in rename_keys(tensors, TABLE).items():
        if ".qkv_proj" in new:
            outputs = 1 if tensors[old.rsplit(".", 1)[0] + ".weight"].dtype is INT4_MARLIN.dtype and not old.endswith(".bias") else 0
            for letter, part in zip("qkv", tensors[old].chunk(3, dim=outputs), strict=True):
                renamed[new.replace("qkv_proj", f"{letter}_proj")] = part
        else:
            renamed[new] = tensors[old]
    return renamed
