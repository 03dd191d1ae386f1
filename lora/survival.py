"""How much of a LoRA survives when it is rounded into quantized weights."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ..bridge.baking import Baked


@dataclass(frozen=True)
class Survival:
    """error: of the change that arrives in the weights, relative to the change that was meant; 0: nothing is lost. cosine: of the two; 1: nothing is.

    layers: every layer's name with its own error, the worst first.
    """

    error: float
    cosine: float
    layers: tuple[tuple[str, float], ...]


def survival(layers: Iterable[Baked]) -> Survival | None:
    """Of all layers together; None where nothing quantized is changed."""
    wrong = meant = arrived = both = 0.0
    errors = []
    for layer in layers:
        change, arriving = layer.patched - layer.stored, layer.baked - layer.stored
        size, difference = _product(change, change), _product(arriving - change, arriving - change)
        wrong, meant = wrong + difference, meant + size
        arrived, both = arrived + _product(arriving, arriving), both + _product(change, arriving)
        errors.append((layer.layer, math.sqrt(difference / size) if size else 0.0))
    if not meant:
        return None
    errors.sort(key=lambda each: -each[1])
    return Survival(math.sqrt(wrong / meant), both / math.sqrt(meant * arrived) if arrived else 0.0, tuple(errors))


def _product(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum(dtype=torch.float64))
