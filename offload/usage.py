"""What a run used, for the node to say afterwards."""

from collections.abc import Callable

import torch

from ..bridge import memory
from .chunks import Difference
from .hosts import Hosts
from .settings import GIB
from .stream import Counts

Tell = Callable[[str], None]


class Usage:
    """Collects one run's figures. tell: gets them as text when it ends."""

    def __init__(self, tell: Tell, difference: Difference | None = None):
        self._tell, self._difference = tell, difference
        self._highest: int | None = None
        self._lines: list[str] = []

    def begin(self, device: torch.device) -> None:
        """Forget the last run."""
        self._highest, self._lines = None, []
        self.look(device)

    def look(self, device: torch.device) -> None:
        """Note how much of the device's memory is in use at this moment."""
        now = memory.bytes_in_use(device)
        self._highest = now if self._highest is None or now is None else max(now, self._highest)

    def streamed(self, counts: Counts, hosts: Hosts) -> None:
        """Note what a stream did."""
        self._lines = [
            f"streamed {counts.copied_bytes / GIB:.2f} GiB in {counts.units} turns, {counts.late} of them not foreseen; "
            f"pinned memory {hosts.pinned_bytes / GIB:.2f} GiB"
        ]

    def end(self, patcher) -> None:
        """Say what the run used."""
        self.look(patcher.load_device)
        lines = [f"weights that stayed on the device: {memory.loaded_bytes(patcher) / GIB:.2f} GiB", *self._lines]
        if self._highest is not None:
            lines.append(f"VRAM in use by all programs, at its highest: {self._highest / GIB:.2f} GiB")
        if self._difference is not None:
            lines.append(self._difference.describe())
        self._tell("used: " + "\n".join(lines))
