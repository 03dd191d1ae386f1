"""Writes diffusers_names.json: the keys and shapes of diffusers' own classes for small Wans of one block. Needs diffusers; the tests don't."""

import json
from pathlib import Path

import diffusers
import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel

SIZE = {
    "num_attention_heads": 2, "attention_head_dim": 128, "in_channels": 16, "out_channels": 16, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 512,
    "num_layers": 1, "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads",
}  # fmt: skip
IMAGE = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 256}

MODELS = {
    "2.1 T2V, 2.2 T2V A14B": (WanTransformer3DModel, {}),
    "2.1 I2V": (WanTransformer3DModel, IMAGE),
    "2.1 FLF2V": (WanTransformer3DModel, IMAGE | {"pos_embed_seq_len": 257}),
    "2.1 VACE": (WanVACETransformer3DModel, {"vace_layers": [0], "vace_in_channels": 96}),
    "2.2 I2V A14B": (WanTransformer3DModel, {"in_channels": 36}),
    "2.2 TI2V 5B": (WanTransformer3DModel, {"in_channels": 48, "out_channels": 48}),
}
"""Name in wan_variants -> diffusers' class and its arguments, as diffusers' own conversion script sets them."""


def names() -> dict[str, dict[str, list[int]]]:
    found = {}
    for name, (kind, more) in MODELS.items():
        with torch.device("meta"):
            found[name] = {key: list(tensor.shape) for key, tensor in kind(**SIZE | more).state_dict().items()}
    return found


if __name__ == "__main__":
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(keys)}" for name, keys in names().items())
    text = f'{{"diffusers": "{diffusers.__version__}", "models": {{\n{lines}\n}}}}\n'
    Path(__file__).with_name("diffusers_names.json").write_text(text, encoding="utf-8")
