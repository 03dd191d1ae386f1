"""How much of a LoRA survives when it is rounded into quantized weights."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..bridge.baking import Baked

@dataclass(frozen=True)
class Survival:
    """error: of the change that arrives in the weights, relative to the change that was meant; 0 is all of it. cosine: of the two, 1 is all of it.

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
        change, change_that_arrives = layer.patched - layer.stored, layer.baked - layer.stored
        squares = [float((a * b).double().sum()) for a, b in ((change, change), (change_that_arrives, change_that_arrives), (change, change_that_arrives))]
        difference = float((change_that_arrives - change).double().square().sum())
        wrong, meant, arrived, both = wrong + difference, meant + squares[0], arrived + squares[1], both + squares[2]
        errors.append((layer.layer, math.sqrt(difference / squares[0]) if squares[0] else 0.0))
    if not meant:
        return None
    errors.sort(key=lambda each: -each[1])
    return Survival(math.sqrt(wrong / meant), both / math.sqrt(meant * arrived) if arrived else 0.0, tuple(errors))
