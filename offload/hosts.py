"""Where the streamed weights come from: copies in pinned memory, up to a limit, else the model's own tensors, which are mapped from the file."""

import weakref
from collections.abc import Callable

import torch

from .lanes import Lane
from .units import Unit, views


class Hosts:
    """The pinned memory of one clone: copies of units, and two small ones through which the others pass.

    pin: registers a tensor's memory with the device and says whether that worked; unpin: undoes it.
    limit: bytes that the copies may take in all.
    """

    def __init__(self, pin: Callable[[torch.Tensor], bool], unpin: Callable[[torch.Tensor], object], limit: int):
        self._pin, self._unpin, self._limit = pin, unpin, limit
        self._copies: dict[str, torch.Tensor] = {}
        self._staging: list[torch.Tensor] = []
        # Memory that is freed while it is registered stays registered, whatever gets it next.
        self._at_death = weakref.finalize(self, _unpin_all, self._copies, self._staging, unpin)
        self._passed: list[object] = [None, None]
        self._turn = 0
        self._refused = False

    @property
    def copied_bytes(self) -> int:
        """Of the copies alone."""
        return sum(copy.nbytes for copy in self._copies.values())

    @property
    def pinned_bytes(self) -> int:
        """All that is pinned."""
        return self.copied_bytes + sum(buffer.nbytes for buffer in self._staging)

    def fill(self, unit: Unit, buffer: torch.Tensor, lane: Lane, may_copy: bool) -> None:
        """Bring a unit into a buffer on the device; in a job of the lane. may_copy: whether a copy may be kept, or one that is kept be used."""
        tensors = unit.tensors()
        copy = self._copy_of(unit, tensors) if may_copy else None
        if copy is not None:
            buffer[: copy.nbytes].copy_(copy, non_blocking=True)
            return
        staging = self._next_staging(buffer.nbytes, lane)
        if staging is None:
            for view, tensor in zip(views(buffer, tensors), tensors, strict=True):
                view.copy_(tensor)
            return
        turn, size = self._turn, unit.nbytes
        for view, tensor in zip(views(staging, tensors), tensors, strict=True):
            view.copy_(tensor)
        buffer[:size].copy_(staging[:size], non_blocking=True)
        self._passed[turn] = lane.copied()

    def close(self) -> None:
        """Give everything back. Nothing may be being copied."""
        self._at_death()

    def _copy_of(self, unit: Unit, tensors: list[torch.Tensor]) -> torch.Tensor | None:
        if unit.name in self._copies or self._refused:
            return self._copies.get(unit.name)
        if self.copied_bytes + unit.nbytes > self._limit:
            return None
        copy = self._pinned(unit.nbytes)
        if copy is not None:
            for view, tensor in zip(views(copy, tensors), tensors, strict=True):
                view.copy_(tensor)
            self._copies[unit.name] = copy
        return copy

    def _next_staging(self, size: int, lane: Lane) -> torch.Tensor | None:
        while len(self._staging) < 2 and not self._refused:
            buffer = self._pinned(size)
            if buffer is not None:
                self._staging.append(buffer)
        if len(self._staging) < 2:
            return None
        self._turn = 1 - self._turn
        lane.reach(self._passed[self._turn])
        return self._staging[self._turn]

    def _pinned(self, size: int) -> torch.Tensor | None:
        buffer = torch.empty(size, dtype=torch.uint8)
        if self._pin(buffer):
            return buffer
        self._refused = True  # asking again for each unit would take longer than copying without
        return None


def _unpin_all(copies: dict[str, torch.Tensor], staging: list[torch.Tensor], unpin: Callable[[torch.Tensor], object]) -> None:
    for buffer in [*copies.values(), *staging]:
        unpin(buffer)
    copies.clear()
    staging.clear()
