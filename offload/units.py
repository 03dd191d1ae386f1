"""A model's streamed weights, divided into what is moved as one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from ..bridge.layouts import plain, rebuilt
from ..bridge.linear import QuantizedLinear
from .settings import PHASE

ALIGNMENT = 512
"""Bytes; at least what any kernel asks of a weight."""

_IN_A_BLOCK = re.compile(r"(?P<block>.*?(?:blocks|block|layers)\.\d+)\.(?P<within>.+)")
"""The name of a layer: Wan's blocks and vace_blocks, umt5's encoder.block, ViT-H's encoder.layers."""


@dataclass(frozen=True)
class Layer:
    """A Linear in a block. name: in the model; block, phase: the names of what it is in."""

    name: str
    block: str
    phase: str
    module: QuantizedLinear

    def tensors(self) -> list[torch.Tensor]:
        """What it is computed from, in the order in which it is stored: codes and scale, or the float weight, and the bias."""
        return [*plain(self.module.weight), *([] if self.module.bias is None else [self.module.bias.detach()])]

    def parameters(self, copies: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias over copies of the tensors."""
        if self.module.bias is None:
            return rebuilt(self.module.weight, copies), None
        return rebuilt(self.module.weight, copies[:-1]), copies[-1]


@dataclass(frozen=True)
class Unit:
    """Layers that are moved as one; they may differ in format and size, and so may units."""

    name: str
    layers: tuple[Layer, ...]

    def tensors(self) -> list[torch.Tensor]:
        """What all its layers are computed from."""
        return [tensor for layer in self.layers for tensor in layer.tensors()]

    @property
    def nbytes(self) -> int:
        """What it takes in a buffer."""
        return sum(map(aligned, self.tensors()))


def aligned(tensor: torch.Tensor) -> int:
    """What a tensor takes in a buffer."""
    return -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT


def views(buffer: torch.Tensor, tensors: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Room for each of the tensors in a buffer of bytes, one behind the other."""
    start = 0
    for tensor in tensors:
        yield buffer[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        start += aligned(tensor)


def layers_of(model: torch.nn.Module) -> list[Layer]:
    """Every Linear of the pack's in a block of the model, in the model's order."""
    found = ((name, module, _IN_A_BLOCK.fullmatch(name)) for name, module in model.named_modules() if isinstance(module, QuantizedLinear))
    return [Layer(name, place["block"], f"{place['block']}.{place['within'].rpartition('.')[0]}", module) for name, module, place in found if place]


def units_of(layers: Sequence[Layer], granularity: str) -> list[Unit]:
    """The layers by block or by phase, in their order."""
    key = (lambda layer: layer.phase) if granularity == PHASE else (lambda layer: layer.block)
    return [Unit(name, tuple(group)) for name, group in groupby(layers, key)]
