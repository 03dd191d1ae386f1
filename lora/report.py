"""What became of a LoRA, in a few lines for its node."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..bridge.places import LINEAR
from .chain import Placed
from .survival import Survival

SHOWN = 5
"""How many names are given of a longer list."""


@dataclass(frozen=True)
class Outcome:
    """What became of one LoRA.

    beside: what is added while the model runs; patched: what ComfyUI patches into the weights; unmatched: names that have no place in this model.
    bytes_beside: of the factors of all LoRAs that the model has. cost: of what was rounded into quantized weights, None where nothing was.
    """

    path: str
    strength: float
    mode: str
    beside: Sequence[Placed]
    patched: Sequence[Placed]
    unmatched: Sequence[str]
    bytes_beside: int
    cost: Survival | None = None


def describe(outcome: Outcome) -> str:
    """The outcome in words."""
    lines = [outcome.path, f"strength {outcome.strength:g}, {outcome.mode}" + ("" if outcome.strength else ": nothing is added")]
    if outcome.beside:
        lines.append(f"computed beside {_counted(outcome.beside)}")
    if outcome.patched:
        lines.append(f"patched into the weights of {_counted(outcome.patched)}")
    forced = [each for each in outcome.patched if each.place.kind == LINEAR and each.change.content is None]
    if forced:
        lines.append(f"of these {_kinds(forced)}, which can't be computed beside a weight")
    if outcome.bytes_beside:
        lines.append(f"{outcome.bytes_beside / 2**20:.1f} MiB of factors, of all LoRAs that this model has")
    if outcome.cost:
        lines += _cost(outcome.cost)
    if outcome.unmatched:
        lines.append(f"{len(outcome.unmatched)} without a place in this model, so without effect: {_some(outcome.unmatched)}")
    return "\n".join(lines)


def _cost(cost: Survival) -> list[str]:
    worst = ", ".join(f"{layer.removeprefix('diffusion_model.')} {error:.2f}" for layer, error in cost.layers[:SHOWN])
    return [
        f"rounded into {len(cost.layers)} quantized layers: the error is {cost.error:.2f} of the change that was meant, "
        f"the cosine of what arrives with it {cost.cosine:.3f}",
        f"most in {worst}",
    ]


def _counted(placed: Sequence[Placed]) -> str:
    layers = len({each.place.layer for each in placed})
    return f"{layers} layer{'' if layers == 1 else 's'} ({_kinds(placed)})"


def _kinds(placed: Sequence[Placed]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(each.change.kind for each in placed).items())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
