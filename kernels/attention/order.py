"""In which order `auto` tries the attention kernels: by GPU, fastest first, exact ones only, and only where their times are known."""

from typing import NamedTuple

import torch

from ..devices import Capability, capability, within


class Order(NamedTuple):
    """kernels: fastest first; ComfyUI's own ends it. basis: where the order is from."""

    kernels: tuple[str, ...]
    basis: str


_NOTED = (
    "noted by hand on an H200, to be measured by benchmarks/attention.py: 34.1 and 38.4 ms a block of 14B at 832x480x81, 60.5 ms by ComfyUI's own"
)

_ORDERS: tuple[tuple[Capability, Capability, Order], ...] = (
    (
        (9, 0), (9, 0),
        Order(("flash-attention-3", "sdpa-cudnn"), _NOTED),
    ),
)  # fmt: skip
"""Lowest and highest compute capability, and the order there. The times are those of vLLM's FlashAttention-3."""


def order_of(device: torch.device) -> Order | None:
    """The order on a device; None where nothing was measured, so that ComfyUI's own stays."""
    found = capability(device)
    for lowest, highest, order in _ORDERS if found else ():
        if within(found, lowest, highest):
            return order
    return None
