"""Layers' errors taken together: of a kind of layer, of a block, of all; and the worst of them."""

from collections.abc import Callable, Iterable, Sequence
from math import inf, log10, sqrt
from typing import NamedTuple

from ..layers import OUTSIDE, natural, place_of
from ..weight_errors import LayerError

WORST = 10


class Total(NamedTuple):
    """Several layers as if they were one: the root of their squared errors over their squared norms; all else are sums of what a LayerError has.

    error_per_byte_saved: the sum of `weighted` over the bytes that they save together.
    """

    name: str
    layers: int
    relative_error: float
    sqnr_db: float
    stored_bytes: int
    bytes_saved: int
    error_per_byte_saved: float | None
    saturated: int
    dead: int


def kind_of(name: str) -> str:
    """What a layer is in its block, such as self_attn.q; its name outside of blocks."""
    place = place_of(name)
    return name[len(f"{place[0]}.{place[1]}.") :] if place else name


def block_of(name: str) -> str:
    """The block a layer lies in, such as blocks.3."""
    place = place_of(name)
    return f"{place[0]}.{place[1]}" if place else OUTSIDE


def by_kind(layers: Sequence[LayerError]) -> list[Total]:
    return _grouped(layers, kind_of)


def by_block(layers: Sequence[LayerError]) -> list[Total]:
    return _grouped(layers, block_of)


def whole(layers: Sequence[LayerError]) -> Total:
    return _total("all layers", layers)


def worst(layers: Iterable[LayerError], count: int = WORST) -> list[LayerError]:
    """The layers of largest relative error, the worst first."""
    return sorted(layers, key=lambda layer: (-layer.relative_error, natural(layer.layer)))[:count]


def _grouped(layers: Sequence[LayerError], group_of: Callable[[str], str]) -> list[Total]:
    groups: dict[str, list[LayerError]] = {}
    for layer in layers:
        groups.setdefault(group_of(layer.layer), []).append(layer)
    return [_total(name, groups[name]) for name in sorted(groups, key=natural)]


def _total(name: str, layers: Sequence[LayerError]) -> Total:
    def added(field: str):
        return sum(getattr(layer, field) for layer in layers)

    error, norm, saved = added("squared_error"), added("squared_norm"), added("bytes_saved")
    relative = 0.0 if error == 0 else sqrt(error / norm) if norm else inf
    return Total(
        name, len(layers), relative, -20 * log10(relative) if 0 < relative < inf else inf, added("stored_bytes"), saved,
        added("weighted") / saved if saved > 0 else None, added("saturated"), added("dead"),
    )  # fmt: skip
