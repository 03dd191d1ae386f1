"""Which attention kernels there are, which of them run on a device, and why the others don't."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from ...errors import KernelError
from ...schemes import ATTENTIONS, AUTO
from ..checks import in_child
from ..checks.finding import Finding
from ..contract import Verdict
from . import flash2, flash3, kitchen, sage, sdpa
from .contract import AttentionKernel
from .foreign import ForeignAttention
from .order import order_of

_VARIANTS = (*flash3.VARIANTS, *sdpa.VARIANTS, *flash2.VARIANTS, *sage.VARIANTS, *kitchen.VARIANTS)

OWN = "ComfyUI's own"
"""What no name here stands for, in words."""

KERNELS: dict[str, Sequence[AttentionKernel]] = {name: tuple(kernel for kernel in _VARIANTS if kernel.name == name) for name in ATTENTIONS}
"""The variants of every name, best first."""


class Choice(NamedTuple):
    """kernel: None where ComfyUI's own attention is to stay. why: in words for a user."""

    kernel: AttentionKernel | None
    why: str


def check_all(device: torch.device, names: Iterable[str] = ATTENTIONS) -> dict[str, Finding]:
    """What the checks of those of other packages find that may run here, by address; one process for what isn't remembered."""
    checkable = _checkable(device, names)
    return in_child.findings(checkable, device) if checkable else {}


def known_findings(device: torch.device) -> dict[str, Finding]:
    """What is remembered of the same; nothing runs for it."""
    return in_child.recalled(_checkable(device, ATTENTIONS), device)


def _checkable(device: torch.device, names: Iterable[str]) -> list[in_child.Checked]:
    kernels = [kernel for name in names for kernel in KERNELS[name] if isinstance(kernel, ForeignAttention) and kernel.runs_on(device)[0]]
    return [(kernel.address, found.described) for kernel in kernels if (found := kernel.found())]


def best_variant(name: str, device: torch.device) -> tuple[AttentionKernel | None, str]:
    """The first variant of the name that runs on the device, with its reason; or None with the reasons of all."""
    reasons = []
    for kernel in KERNELS[name]:
        supported, reason = kernel.is_supported(device)
        if supported:
            return kernel, reason
        reasons.append(reason)
    return None, "; ".join(dict.fromkeys(reasons))


def report(device: torch.device) -> dict[str, Verdict]:
    """For every name, whether it runs on the device and why."""
    check_all(device)
    found = {name: best_variant(name, device) for name in KERNELS}
    return {name: (kernel is not None, reason) for name, (kernel, reason) in found.items()}


def select(name: str, device: torch.device, may_substitute: bool = True) -> Choice:
    """The kernel for a device. name: one of KERNELS, or `auto`. may_substitute: whether `auto`'s may stand in for one that can't run here.

    Raises KernelError, which says why the kernel can't run and which ones can.
    """
    if name == AUTO:
        return _fastest(device)
    if name not in KERNELS:
        raise KernelError(f"There is no attention kernel {name}. The kernels are: {AUTO}, {', '.join(KERNELS)}.")
    kernel, reason = best_variant(name, device)
    if kernel is not None:
        return Choice(kernel, reason)
    if may_substitute:
        substitute, why = _fastest(device)
        return Choice(substitute, f"{name} can't run here: {reason}; {substitute.name if substitute else OWN} stands in for it ({why})")
    able = [other for other, (works, _) in report(device).items() if works] or [f"none but {OWN}"]
    raise KernelError(
        f"The attention {name} can't run here: {reason}. Those that run on this machine: {', '.join(able)}. "
        'Pick one of them, or set "missing_kernel" to "substitute" to let LightQuant take one.'
    )


def _fastest(device: torch.device) -> Choice:
    order = order_of(device)
    if order is None:
        return Choice(None, f"auto: none was measured on this device, so {OWN} stays")
    check_all(device, order.kernels)
    refused = []
    for name in order.kernels:
        kernel, reason = best_variant(name, device)
        if kernel is not None:
            passed = f"; faster ones can't run here: {'; '.join(refused)}" if refused else ""
            return Choice(kernel, f"auto: {reason}{passed} ({order.basis})")
        refused.append(f"{name}: {reason}")
    return Choice(None, f"auto: {OWN} stays, as faster ones can't run here: {'; '.join(refused)} ({order.basis})")
