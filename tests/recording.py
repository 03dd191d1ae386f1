"""An attention kernel that keeps what it was given, and what nodes have shown."""

import torch
from lightquant.kernels.attention import KERNELS, Call, registry
from lightquant.kernels.attention.order import Order
from lightquant.kernels.attention.reference import attention
from lightquant.kernels.attention.sdpa import FlashOnCPU

NAME = "sdpa-flash"
"""What runs on every CPU."""


class Recording(FlashOnCPU):
    """Computes as the oracle does, and keeps the calls that it took."""

    def __init__(self, **settings):
        self.calls: list[Call] = []
        vars(self).update(settings)

    def is_supported(self, device: torch.device) -> tuple[bool, str]:
        return True, "it was recorded"

    def attend(self, call: Call) -> torch.Tensor:
        self.calls.append(call)
        return attention(call).to(call.q.dtype)


def stand_in(monkeypatch) -> Recording:
    """A kernel that is `sdpa-flash` and, as if it had been measured here, `auto`'s choice, for one test."""
    kernel = Recording()
    monkeypatch.setitem(KERNELS, NAME, (kernel,))
    monkeypatch.setattr(registry, "order_of", lambda device: Order((NAME,), "measured in a test"))
    return kernel


def shown(monkeypatch) -> list[str]:
    """The texts that nodes show from now on."""
    texts: list[str] = []
    for module in ("attention", "running"):
        monkeypatch.setattr(f"lightquant.nodes.{module}.show", lambda text, node: texts.append(text) or text)
    return texts
