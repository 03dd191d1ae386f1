"""What ComfyUI calls in place of its own attention function, for a clone."""

import functools
from collections.abc import Callable

import torch

from ..kernels.attention import AttentionKernel
from .arguments import Asked, read
from .tally import Tally

Tell = Callable[[str], None]

Attention = Callable[..., torch.Tensor]
"""One of ComfyUI's attention functions."""


class Override:
    """Has a kernel compute what it takes; ComfyUI's own function gets every other call, as it came.

    device: one that the kernel is known to run on.
    outer: the override of another node that was there before, which goes on deciding: it is handed this one where ComfyUI hands it its function.
    tell: gets a run's count when it ends.
    """

    def __init__(self, kernel: AttentionKernel, device: torch.device, outer: Callable | None = None, tell: Tell | None = None):
        self.kernel, self.outer, self.tally = kernel, outer, Tally()
        self._runs_on, self._tell = {device: True}, tell

    @property
    def takes_any_rows(self) -> bool:
        """Whether it computes a part of a video's rows as well as all; nobody knows that of another's."""
        return self.outer is None

    def __call__(self, own: Attention, *args, **kwargs) -> torch.Tensor:
        """The attention that ComfyUI's function `own` was asked for."""
        if self.outer is None:
            return self._attend(own, *args, **kwargs)

        @functools.wraps(own)
        def ours(*args, **kwargs):
            return self._attend(own, *args, **kwargs)

        return self.outer(ours, *args, **kwargs)

    def begin(self) -> None:
        """A run begins."""
        self.tally.begin()

    def end(self) -> None:
        """A run has ended."""
        if self._tell is not None:
            self._tell(self.tally.describe())

    def _attend(self, own: Attention, *args, **kwargs) -> torch.Tensor:
        asked = read(*args, **kwargs)
        why = asked.refused or self._refused(asked)
        if not torch.compiler.is_compiling():  # a count that a graph is guarded by would have it compiled anew for every call
            if why:
                self.tally.handed(why)
            else:
                self.tally.took(self.kernel.name)
        return own(*args, **kwargs) if why else asked.shaped(self.kernel.attend(asked.call))

    def _refused(self, asked: Asked) -> str:
        """Why the kernel does not take a call, "" where it does."""
        if not self._can_run_on(asked.call.q.device):
            return "a device that it does not run on"
        if asked.needs_precision and not self.kernel.is_exact:
            return "a caller that allows no quantized attention"
        able, why = self.kernel.can_run(asked.call)
        return "" if able else why

    def _can_run_on(self, device: torch.device) -> bool:
        """Whether the kernel runs on a device; with several GPUs, ComfyUI gives one model's calls to each."""
        if device not in self._runs_on and not torch.compiler.is_compiling():
            self._runs_on[device] = self.kernel.is_supported(device)[0]
        return self._runs_on.get(device, False)
