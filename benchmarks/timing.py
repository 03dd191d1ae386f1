"""Times of calls that are compared: they take turns, as a GPU's clock drifts under load, and the device never waits for the host between them."""

import random
import time
from collections.abc import Callable, Hashable, Mapping

import torch

Call = Callable[[int], object]
"""What is timed; it is told the number of its turn, so that it can take another weight each time."""

FEWEST, MOST = 5, 20
"""Samples of a call."""

LEAD_CYCLES = 300_000
"""How long a GPU sleeps before a round, for each call in it: about 0.15 ms, in which the host gets ahead of it."""
LONGEST_LEAD = 4
"""A round with a call that waits for the device can't be got ahead of, and is not tried with more than so many times that."""


def times_ms(calls: Mapping[Hashable, Call], device: torch.device, target_ms: float) -> dict[Hashable, list[float]]:
    """Milliseconds of every call, each measured for about target_ms in all; all of them equally often. They have been called before."""
    one_round = _Rounds(device, calls)
    first = one_round(0)
    repeats = min(MOST, max(FEWEST, int(target_ms * len(calls) / sum(first.values()))))
    rounds = [one_round(turn) for turn in range(1, repeats + 1)]
    return {name: [each[name] for each in rounds] for name in calls}


class _Rounds:
    """A round is one turn of every call."""

    def __init__(self, device: torch.device, calls: Mapping[Hashable, Call]):
        self._device, self._calls, self._lead = device, calls, 1

    def __call__(self, turn: int) -> dict[Hashable, float]:
        if self._device.type != "cuda":
            return {name: _seconds(lambda call=call: call(turn)) * 1e3 for name, call in self._calls.items()}
        while True:
            got_ahead, found = self._on_cuda(turn)
            if got_ahead or self._lead >= LONGEST_LEAD:
                return found
            self._lead *= 2

    def _on_cuda(self, turn: int) -> tuple[bool, dict[Hashable, float]]:
        """Whether the host had asked for all calls before the device began with them, and their times between device events."""
        marks = {name: [torch.cuda.Event(enable_timing=True) for _ in range(2)] for name in self._calls}
        awake = torch.cuda.Event()
        torch.cuda._sleep(LEAD_CYCLES * self._lead * len(self._calls))
        awake.record()
        # Whoever comes first finds a rested GPU, and whoever follows a heavy call a throttled one: each round has an order of its own.
        for name, call in random.Random(turn).sample([*self._calls.items()], len(self._calls)):
            start, end = marks[name]
            start.record()
            call(turn)
            end.record()
        got_ahead = not awake.query()
        torch.cuda.synchronize()
        return got_ahead, {name: start.elapsed_time(end) for name, (start, end) in marks.items()}


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
