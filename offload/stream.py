"""Weights that take turns in two buffers on the device: while one unit computes, the next is copied."""

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch

from ..bridge.lending import patched
from ..bridge.linear import QuantizedLinear
from .hosts import Hosts
from .lanes import Lane
from .units import Layer, Unit, views

Patches = Mapping[str, Sequence[Callable[[torch.Tensor], torch.Tensor]]]
"""Key of a parameter -> what ComfyUI has to be done to it before use: a LoRA's patches."""


@dataclass(eq=False)
class Slot:
    """A buffer on the device. unit: what it holds or gets; copies: that filling; free: the point from which it may be filled again."""

    buffer: torch.Tensor
    unit: Unit | None = None
    copies: Future | None = None
    free: object = None


@dataclass
class Counts:
    """copied_bytes: all that was brought to the device; units: in how many turns; late: how many of them nothing had foreseen."""

    copied_bytes: int = 0
    units: int = 0
    late: int = 0


@dataclass(frozen=True)
class Surroundings:
    """What a stream asks of ComfyUI.

    patches: what is to be done to parameters before use. may_copy: whether the weights stay the same, so that copies of them can be kept.
    wraps: whether the first unit comes again behind the last one. at_turn: is called whenever another unit takes its turn.
    """

    patches: Patches = field(default_factory=dict)
    may_copy: bool = True
    wraps: bool = True
    at_turn: Callable[[], None] = lambda: None


class Stream:
    """Lends the layers of the units. All but the copies is done by the thread that computes.

    What comes next is what came next the last time, so that other orders than the modules', skipped blocks and repeated ones are learned.
    """

    def __init__(self, units: Sequence[Unit], lane: Lane, hosts: Hosts, surroundings: Surroundings):
        self._lane, self._hosts, self._around = lane, hosts, surroundings
        self._places: dict[QuantizedLinear, tuple[Unit, Layer]] = {layer.module: (unit, layer) for unit in units for layer in unit.layers}
        self._next = {unit.name: following for unit, following in itertools.pairwise([*units, *units[: surroundings.wraps]])}
        self._slot_bytes, self._count = max(unit.nbytes for unit in units), min(2, len(units))
        self._slots: list[Slot] = []
        self._current: Slot | None = None
        self._lent: dict[QuantizedLinear, tuple[torch.Tensor, torch.Tensor | None]] = {}
        self.counts = Counts()
        if "torch._dynamo" in sys.modules:  # which takes a second to import; whoever compiles has done it
            self.lend = torch.compiler.disable(self.lend)

    def lend(self, module: QuantizedLinear, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The module's weight and bias in the unit's buffer, patched where ComfyUI has patches for them."""
        unit, layer = self._places[module]
        if self._current is None or self._current.unit is not unit:
            self._turn_to(unit)
        weight, bias = self._lent[module]
        weight = self._patched(layer.name + ".weight", weight, x.dtype)
        return weight, None if bias is None else self._patched(layer.name + ".bias", bias.to(x.dtype), x.dtype)

    def forget(self) -> None:
        """The weights have changed: what is in the buffers is of no use."""
        self._release_current()
        for slot in self._slots:
            slot.unit = None

    def close(self) -> None:
        """Stop, and give the buffers back; what the computation has been given may still read them."""
        self._lane.close()
        self._current, self._slots = None, []
        self._lent = {}

    def _patched(self, key: str, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        functions = self._around.patches.get(key)
        return patched(value, functions, dtype) if functions else value

    def _turn_to(self, unit: Unit) -> None:
        self._around.at_turn()
        if not self._slots:
            self._allocate()
        slot = self._holding(unit)
        if slot is None:
            self.counts.late += 1
            slot = self._fill(unit)
        if self._current is not None:
            self._next[self._current.unit.name] = unit
            self._release_current()
        self._lane.wait(slot.copies)
        self._current = slot
        copies = views(slot.buffer, unit.tensors())
        for layer in unit.layers:
            self._lent[layer.module] = layer.parameters([next(copies) for _ in layer.tensors()])
        self.counts.units += 1
        following = self._next.get(unit.name)
        if following is not None and self._holding(following) is None:
            self._fill(following)

    def _allocate(self) -> None:
        for _ in range(self._count):
            buffer = torch.empty(self._slot_bytes, dtype=torch.uint8, device=self._lane.device)
            self._slots.append(Slot(buffer, free=self._lane.here()))

    def _holding(self, unit: Unit) -> Slot | None:
        return next((slot for slot in self._slots if slot.unit is unit), None)

    def _fill(self, unit: Unit) -> Slot:
        """Begin to copy a unit into a buffer that is not in use, the one that was filled longest ago."""
        slot = next(slot for slot in self._slots if slot is not self._current)
        self._slots.remove(slot)
        self._slots.append(slot)
        slot.unit = unit
        slot.copies = self._lane.submit(lambda: self._hosts.fill(unit, slot.buffer, self._lane, self._around.may_copy), slot.free)
        self.counts.copied_bytes += unit.nbytes
        return slot

    def _release_current(self) -> None:
        if self._current is None:
            return
        self._lent = {}
        self._lane.released(self._current.buffer)
        self._current.free, self._current.unit = self._lane.here(), None
        self._current = None
