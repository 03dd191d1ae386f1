"""Checkpoints of the published sizes that take no room: a true header, and a hole where the tensors would be."""

import json
import struct
from pathlib import Path

Entries = dict[str, tuple[str, tuple[int, ...]]]
"""Key -> safetensors' name of the dtype, and the shape."""

_WIDTH = {"BF16": 2, "F8_E4M3": 1, "I8": 1, "F32": 4}


def wan(width: int, ffn: int, blocks: int, channels: int = 16, image: bool = False, codes: str = "F8_E4M3", out: int = 16) -> Entries:
    """A Wan DiT as LightX2V's converter writes it; codes "BF16": not quantized."""
    entries: Entries = {"patch_embedding.weight": ("BF16", (width, channels, 1, 2, 2)), "head.modulation": ("BF16", (1, 2, width))}

    def linear(name: str, rows: int, columns: int, dtype: str = "BF16") -> None:
        entries[f"{name}.weight"] = (dtype, (rows, columns))
        entries[f"{name}.bias"] = ("BF16", (rows,))
        if dtype != "BF16":
            entries[f"{name}.weight_scale"] = ("F32", (rows, 1))

    linear("text_embedding.0", width, 4096)
    linear("time_projection.1", 6 * width, width)
    linear("head.head", out * 4, width)
    if image:
        linear("img_emb.proj.1", 1280, 1280)
        linear("img_emb.proj.3", width, 1280)
        entries["img_emb.proj.0.bias"] = ("BF16", (1280,))
    for block in range(blocks):
        for attention in ("self_attn", "cross_attn"):
            for letter in "qkvo":
                linear(f"blocks.{block}.{attention}.{letter}", width, width, codes)
        for letter in "kv" if image else "":
            linear(f"blocks.{block}.cross_attn.{letter}_img", width, width, codes)
        linear(f"blocks.{block}.ffn.0", ffn, width, codes)
        linear(f"blocks.{block}.ffn.2", width, ffn, codes)
    return entries


def umt5(width: int = 4096, ffn: int = 10240, blocks: int = 24, words: int = 256384) -> Entries:
    """An fp8 umt5 encoder in Wan's names."""
    entries: Entries = {"token_embedding.weight": ("BF16", (words, width)), "norm.weight": ("BF16", (width,))}
    shapes = {**{f"attn.{letter}": (width, width) for letter in "qkvo"}, "ffn.gate.0": (ffn, width), "ffn.fc1": (ffn, width), "ffn.fc2": (width, ffn)}
    for block in range(blocks):
        for name, shape in shapes.items():
            entries[f"blocks.{block}.{name}.weight"] = ("F8_E4M3", shape)
            entries[f"blocks.{block}.{name}.weight_scale"] = ("F32", (shape[0], 1))
    return entries


def vit(width: int = 1280, layers: int = 32) -> Entries:
    """An fp8 CLIP vision encoder in Wan's names."""
    entries: Entries = {"visual.patch_embedding.weight": ("BF16", (width, 3, 14, 14))}
    shapes = {"attn.to_qkv": (3 * width, width), "attn.proj": (width, width), "mlp.0": (4 * width, width), "mlp.2": (width, 4 * width)}
    for layer in range(layers):
        for name, shape in shapes.items():
            entries[f"visual.transformer.{layer}.{name}.weight"] = ("F8_E4M3", shape)
            entries[f"visual.transformer.{layer}.{name}.weight_scale"] = ("F32", (shape[0], 1))
    return entries


def write(entries: Entries, path: Path) -> int:
    """Write the file. Returns where its header ends."""
    header, end = {}, 0
    for key, (dtype, shape) in entries.items():
        size = _WIDTH[dtype]
        for each in shape:
            size *= each
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return 8 + len(text)
