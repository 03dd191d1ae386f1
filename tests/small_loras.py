"""Small LoRA files for the small DiT, and the float model with the same LoRA in its weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from small_models import Tensors, Weights

PREFIX = "diffusion_model."

LINEARS = {
    **{f"{attention}.{letter}": (256, 256) for attention in ("self_attn", "cross_attn") for letter in "qkvo"},
    "ffn.0": (512, 256), "ffn.2": (256, 512),
}  # fmt: skip
"""The quantized layers of a block of the small DiT, with the shapes of their weights."""

OUTSIDE = {"text_embedding.0": (256, 4096), "time_projection.1": (1536, 256), "head.head": (64, 256)}
"""Some Linears outside the blocks, which stay float."""

QUANTIZED = {f"blocks.{block}.{layer}": shape for block in range(2) for layer, shape in LINEARS.items()}


def factors(layers: Mapping[str, Sequence[int]], rank: int = 8, size: float = 0.3, seed: int = 9, alpha: float | None = None) -> Tensors:
    """A LoRA in ComfyUI's own naming, whose products have rows of norm `size` (the weights' rows are of norm 1 in the mean)."""
    draw, tensors = Weights(seed), {}
    for layer, (outputs, inputs) in layers.items():
        tensors[f"{PREFIX}{layer}.lora_down.weight"] = draw.normal(rank, inputs, std=inputs**-0.5)
        tensors[f"{PREFIX}{layer}.lora_up.weight"] = draw.normal(outputs, rank, std=size * rank**-0.5)
        if alpha is not None:
            tensors[f"{PREFIX}{layer}.alpha"] = torch.tensor(alpha)
    return tensors


def differences(seed: int = 10) -> Tensors:
    """Differences of everything that a file can have one of: a quantized weight, biases, norms, modulations, float layers."""
    draw, shapes = Weights(seed), {
        "blocks.0.ffn.0.diff": (512, 256), "blocks.1.ffn.2.diff_b": (256,), "blocks.0.self_attn.q.diff_b": (256,), "head.head.diff_b": (64,),
        "blocks.0.norm3.diff": (256,), "blocks.0.norm3.diff_b": (256,), "blocks.1.self_attn.norm_q.diff": (256,),
        "patch_embedding.diff": (256, 16, 1, 2, 2), "blocks.0.modulation.diff": (1, 6, 256), "blocks.1.modulation.diff": (1, 6, 256),
        "head.modulation.diff": (1, 2, 256),
    }  # fmt: skip
    return {PREFIX + name: draw.normal(*shape, std=0.02 if len(shape) == 2 else 0.1) for name, shape in shapes.items()}


def merged(floats: Tensors, *loras: tuple[Tensors, float]) -> Tensors:
    """The float model with the LoRAs (tensors in ComfyUI's own naming, strength) in its weights: the truth, by plain arithmetic."""
    out = dict(floats)
    for tensors, strength in loras:
        for key, tensor in tensors.items():
            name = key.removeprefix(PREFIX)
            if name.endswith(".lora_up.weight"):
                layer = name.removesuffix(".lora_up.weight")
                scale = strength * tensors[f"{PREFIX}{layer}.alpha"].item() / tensor.shape[1] if f"{PREFIX}{layer}.alpha" in tensors else strength
                out[layer + ".weight"] = out[layer + ".weight"] + scale * tensor @ tensors[f"{PREFIX}{layer}.lora_down.weight"]
            elif name.endswith((".diff", ".diff_b")):
                layer, _, end = name.rpartition(".")
                target = layer + ".bias" if end == "diff_b" else layer if layer in out else layer + ".weight"
                out[target] = out[target] + strength * tensor
    return out


def save(folder: Path, name: str, tensors: Tensors) -> str:
    """Write the tensors; returns the path."""
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)
    return str(folder / name)
