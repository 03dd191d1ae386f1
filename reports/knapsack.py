"""One option of each of many layers, so that their bytes fit and their errors add up to the least.

First greedily: from the smallest option of every layer, along the lower convex hull of each, the step that buys most error for a byte comes next.
Where the first step does not fit, its slope is the price of a byte, at which Lagrange's relaxation bounds every choice from below. With that bound,
options and partial choices that can't beat what the greedy one found are dropped. What is left is gone through layer by layer, by dynamic programming
over bytes: only states live on that are smaller or err less than others. That is exact, unless more states live than are kept.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

MOST_STATES = 20_000
"""Kept after each layer; the least promising go first, and the result is then only bounded."""

_ROUNDING = 1e-9
"""How far sums of errors may be off, relative to what is compared."""


class Option(NamedTuple):
    """A way to store a layer: what it takes and what it costs."""

    nbytes: int
    error: float


class Choice(NamedTuple):
    """picks: the option of each layer, by its place; least: no choice that fits errs less than this."""

    picks: tuple[int, ...]
    error: float
    least: float


class _Step(NamedTuple):
    """From one option of a layer to the next larger one on its hull. slope: the error that a byte takes off."""

    slope: float
    layer: int
    pick: int
    nbytes: int


def choose(layers: Sequence[Sequence[Option]], capacity: int) -> Choice | None:
    """The picks of least error whose bytes are at most the capacity; None where even the smallest ones don't fit."""
    hulls = [_hull(options) for options in layers]
    picks = [hull[0] for hull in hulls]
    room = capacity - sum(options[pick].nbytes for options, pick in zip(layers, picks, strict=True))
    if room < 0:
        return None
    price = _fill(layers, hulls, picks, room)
    found = _error(layers, picks)
    if price == 0:
        return Choice(tuple(picks), found, found)
    least = sum(min(option.error + price * option.nbytes for option in options) for options in layers) - price * capacity
    better = _better(layers, capacity, price, found - least)
    if better and _error(layers, better) < found:
        picks, found = better, _error(layers, better)
    return Choice(tuple(picks), found, min(least, found))


def _error(layers: Sequence[Sequence[Option]], picks: Sequence[int]) -> float:
    return sum(options[pick].error for options, pick in zip(layers, picks, strict=True))


def _hull(options: Sequence[Option]) -> list[int]:
    """The options on the lower convex hull of error over bytes, smallest first, ending in the one of least error."""
    hull: list[int] = []
    for pick in sorted(range(len(options)), key=lambda each: options[each]):
        if hull and options[pick].error >= options[hull[-1]].error:
            continue
        while len(hull) > 1 and _slope(options, hull[-1], pick) >= _slope(options, hull[-2], hull[-1]):
            hull.pop()
        hull.append(pick)
    return hull


def _slope(options: Sequence[Option], smaller: int, larger: int) -> float:
    return (options[smaller].error - options[larger].error) / (options[larger].nbytes - options[smaller].nbytes)


def _fill(layers: Sequence[Sequence[Option]], hulls: Sequence[Sequence[int]], picks: list[int], room: int) -> float:
    """Take the steps that fit, best first. Returns the slope of the first that does not, the price of a byte; 0 where all fit."""
    steps = sorted(
        (
            _Step(_slope(options, smaller, larger), layer, larger, options[larger].nbytes - options[smaller].nbytes)
            for layer, (options, hull) in enumerate(zip(layers, hulls, strict=True))
            for smaller, larger in pairwise(hull)
        ),
        key=lambda step: -step.slope,
    )
    price, blocked = 0.0, set()
    for step in steps:
        if step.layer in blocked:
            continue
        if step.nbytes > room:
            price = price or step.slope
            blocked.add(step.layer)
            continue
        picks[step.layer], room = step.pick, room - step.nbytes
    return price


def _better(layers: Sequence[Sequence[Option]], capacity: int, price: float, gap: float) -> list[int] | None:
    """The best picks of those that may err less than the greedy ones by up to `gap`; None where there are none.

    A choice errs by the bound, and by what each option loses at the price against the layer's best, and by the price of the room that it leaves.
    """
    limit = gap * (1 + _ROUNDING)
    losses = [np.array([option.error + price * option.nbytes for option in options]) for options in layers]
    losses = [each - each.min() for each in losses]
    smallest = [min(option.nbytes for option in options) for options in layers]
    rest = sum(smallest)
    used, lost = np.zeros(1, np.int64), np.zeros(1)
    trail: list[tuple[np.ndarray, np.ndarray]] = []
    for options, loss, least_bytes in zip(layers, losses, smallest, strict=True):
        rest -= least_bytes
        kept = np.flatnonzero(loss <= limit)
        parents = np.tile(np.arange(len(used)), len(kept))
        picked = np.repeat(kept, len(used))
        sizes = np.array([options[pick].nbytes for pick in kept], np.int64)
        used = (sizes[:, None] + used).ravel()
        lost = (loss[kept][:, None] + lost).ravel()
        alive = _undominated(used, lost, price, np.flatnonzero((used + rest <= capacity) & (lost <= limit)))
        used, lost = used[alive], lost[alive]
        trail.append((parents[alive], picked[alive]))
    if not len(used):
        return None
    state = int(np.argmin(lost - price * used))
    picks = []
    for parents, picked in reversed(trail):
        picks.append(int(picked[state]))
        state = int(parents[state])
    return picks[::-1]


def _undominated(used: np.ndarray, lost: np.ndarray, price: float, states: np.ndarray) -> np.ndarray:
    """Of the states, those that no other beats in both bytes and error; at most so many as are kept."""
    error = lost - price * used
    states = states[np.lexsort((error[states], used[states]))]
    before = np.minimum.accumulate(np.concatenate(([np.inf], error[states][:-1])))
    states = states[error[states] < before]
    if len(states) > MOST_STATES:
        states = states[np.argpartition(lost[states], MOST_STATES)[:MOST_STATES]]
    return states
