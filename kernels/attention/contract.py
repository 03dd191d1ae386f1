"""What every attention kernel is."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch

from ..contract import Verdict
from ..foreign.packages import Found, Package, find

HALVES = (torch.bfloat16, torch.float16)

LAYOUT = "(Tensor q, Tensor k, Tensor v, float scale) -> Tensor"
"""The arguments of every operator that takes no mask."""


class Call(NamedTuple):
    """One attention, softmax(q @ k.T * scale + mask) @ v of each head.

    q: [B, S, H, D]; k: [B, T, G, D]; v: [B, T, G, D], H being a multiple of G; all of one dtype, with strides of any kind.
    mask: what broadcasts to [B, H, S, T], in q's dtype or bool, of which True is seen; None: everything is seen.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    scale: float
    mask: torch.Tensor | None = None


class AttentionKernel(ABC):
    """Computes attention without a gradient, on the current stream.

    The reasons that `can_run` gives are constants: torch.compile traces through it, and a run's calls are counted by them.
    """

    name: ClassVar[str]
    """What a user picks; the variants of one kernel share it."""
    variant: str
    """How this variant computes, in a few words."""
    package: ClassVar[Package]
    is_exact: ClassVar[bool] = True
    """Whether its only error is that of its operands' dtype; else it quantizes them."""
    takes_mask: ClassVar[bool] = False
    dtypes: ClassVar[tuple[torch.dtype, ...]] = HALVES
    widths: ClassVar[tuple[int, ...]] = (64, 128)
    """The widths of a head that it is checked with, and takes."""

    def found(self) -> Found | None:
        """Where the package is installed."""
        return find(self.package)

    @abstractmethod
    def is_supported(self, device: torch.device) -> Verdict:
        """Whether the device, its driver and the installed packages can run this kernel at all."""

    def can_run(self, call: Call) -> Verdict:
        """Whether the kernel takes this call on a device that it supports."""
        if call.q.dtype not in self.dtypes:
            return False, "a dtype that it does not take"
        if call.q.shape[3] not in self.widths:
            return False, "a head's width that it does not take"
        if call.mask is not None and not self.takes_mask:
            return False, "a mask"
        return True, ""

    def tolerance(self, dtype: torch.dtype) -> float:
        """The largest relative error against the oracle that outputs of this dtype may have; for one that quantizes, before it counts as broken."""
        if not self.is_exact:
            return 0.1
        return 1e-5 if dtype is torch.float32 else 0.004

    @abstractmethod
    def attend(self, call: Call) -> torch.Tensor:
        """The attention [B, S, H, D], contiguous, in q's dtype."""


def fake_attention(q: torch.Tensor, *_: object) -> torch.Tensor:
    """What every operator returns, unfilled."""
    return q.new_empty(q.shape)


def dense(*parts: torch.Tensor) -> list[torch.Tensor]:
    """Each with its last dimension dense, copied only where it is not."""
    return [each if each.stride(-1) == 1 else each.contiguous() for each in parts]
