"""Wan2.1-T2V-14B at full size with random weights, drawn on the GPU layer by layer, in every storage that is compared; on the CPU a small model.

Random weights say nothing about picture quality; they have the true shapes, so time and memory are the true ones, and the arithmetic error of a
quantized linear is that of its operands' distribution, which is why there are two.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from lightquant.convert.selection import is_quantized
from lightquant.convert.settings import COMFYUI
from lightquant.convert.stored import stored_tensors
from lightquant.formats import ABSMAX, FORMATS, FP8_CHANNEL, INT8_CHANNEL, Format
from lightquant.loaders.random_weights import MARK
from safetensors.torch import save_file

DIM, FFN, BLOCKS, TEXT, FREQUENCIES, OUT = 5120, 13824, 40, 4096, 256, 64

Tensors = dict[str, torch.Tensor]


def shapes(blocks: int = BLOCKS) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every key of the model with its shape, in Wan's names."""
    yield "patch_embedding.weight", (DIM, 16, 1, 2, 2)
    yield "patch_embedding.bias", (DIM,)
    sizes = {
        "text_embedding.0": (DIM, TEXT), "text_embedding.2": (DIM, DIM), "time_embedding.0": (DIM, FREQUENCIES), "time_embedding.2": (DIM, DIM),
        "time_projection.1": (6 * DIM, DIM), "head.head": (OUT, DIM),
    }  # fmt: skip
    for block in range(blocks):
        name = f"blocks.{block}."
        yield name + "modulation", (1, 6, DIM)
        yield from ((f"{name}norm3.{part}", (DIM,)) for part in ("weight", "bias"))
        for attention in ("self_attn", "cross_attn"):
            yield from ((f"{name}{attention}.norm_{letter}.weight", (DIM,)) for letter in "qk")
            sizes.update({f"{name}{attention}.{letter}": (DIM, DIM) for letter in "qkvo"})
        sizes.update({name + "ffn.0": (FFN, DIM), name + "ffn.2": (DIM, FFN)})
    yield "head.modulation", (1, 2, DIM)
    for layer, shape in sizes.items():
        yield layer + ".weight", shape
        yield layer + ".bias", shape[:1]


def draw(key: str, shape: tuple[int, ...], index: int, heavy: bool) -> torch.Tensor:
    """One fp32 tensor, on the GPU if there is one, the same for the same index.

    heavy: rows over two decades, heavy tails, outlier columns; and a modulation with a few large channels, which gives such activations.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(index)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, device=device)

    if key.endswith(".bias"):
        return normal(*shape) * 0.02
    if "norm" in key:
        return 1 + 0.02 * normal(*shape)
    if "modulation" in key:
        value = normal(*shape) * 0.2
        return torch.where(torch.rand(shape, generator=generator, device=device) < 0.002, value * 200, value) if heavy and "blocks" in key else value
    weight = normal(*shape)
    if heavy and len(shape) == 2:
        weight *= 1 + 0.3 * normal(*shape).abs_() ** 3
        weight *= 10 ** (2 * torch.rand(shape[0], 1, generator=generator, device=device) - 1)
        weight[:, torch.rand(shape[1], generator=generator, device=device) < 1 / 64] *= 8
    return weight / (weight.flatten(1).square().sum(1).mean().sqrt())


def _core(format_: Format) -> Callable[[torch.Tensor], Tensors]:
    return lambda weight: stored_tensors(format_, weight, torch.bfloat16, COMFYUI, ABSMAX)


def _format(name: str) -> Callable[[torch.Tensor], Tensors]:
    def store(weight: torch.Tensor) -> Tensors:
        stored = FORMATS[name].quantize(weight)
        return {".weight": stored.data, ".weight_scale": stored.scale}

    return store


STORAGES: dict[str, Callable[[torch.Tensor], Tensors]] = {
    "bf16": lambda weight: {".weight": weight.to(torch.bfloat16)},
    "fp16": lambda weight: {".weight": weight.to(torch.float16)},
    "core-fp8": _core(FP8_CHANNEL),
    "core-int8": _core(INT8_CHANNEL),
    **{name: _format(name) for name in FORMATS},
}
"""Name -> what is stored of a float weight, by the suffix of its key: the float models, ComfyUI core's own two, and the pack's formats."""


def note_depth(folder: Path, blocks: int) -> None:
    """Say beside the files how many blocks they have: a shorter model than the published one would be refused as incomplete."""
    if torch.cuda.is_available():
        (folder / "config.json").write_text(json.dumps({"dim": DIM, "num_layers": blocks}))


def save(tensors: Tensors, path: Path, blocks: int) -> None:
    """Write a model, marked as random."""
    save_file(tensors, path, MARK)
    note_depth(path.parent, blocks)


def floats(heavy: bool, blocks: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Every key with its fp32 tensor; where there is no GPU, of a small model of the same architecture."""
    if torch.cuda.is_available():
        return ((key, draw(key, shape, index, heavy)) for index, (key, shape) in enumerate(shapes(blocks)))
    import small_models

    return iter(small_models.dit(blocks=blocks).items())


def stored(component: str, tensors: Iterable[tuple[str, torch.Tensor]], storage: str, dtype: torch.dtype = torch.bfloat16) -> Tensors:
    """Float tensors in a storage, on the CPU: quantized where LightX2V's converter does it to the component, the rest in dtype."""
    made: Tensors = {}
    for key, value in tensors:
        if is_quantized(component, key, value.shape, ()):
            parts = {key.removesuffix(".weight") + suffix: part for suffix, part in STORAGES[storage](value).items()}
        else:
            parts = {key: value.to(dtype)}
        made.update({name: part.cpu() for name, part in parts.items()})
    return made


def model(storage: str, heavy: bool, blocks: int = BLOCKS) -> Tensors:
    """The whole model in a storage, on the CPU; what is not quantized is bf16."""
    return stored("dit", floats(heavy, blocks), storage)
