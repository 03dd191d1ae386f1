"""A kernel's row in the report: its package, whether it runs and why, what its check measured, and what would install it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from ..kernels import VARIANTS, Kernel
from ..kernels.attention import KERNELS, AttentionKernel
from ..kernels.attention.checks import SMALL, error_of
from ..kernels.checks import numeric
from ..kernels.checks.finding import Finding
from ..kernels.checks.memory import is_lack_of_memory
from ..kernels.contract import UNCHECKED, Foreseen
from ..kernels.foreign.kernel import Foreign
from ..kernels.foreign.packages import TRITON, install
from ..schemes import ATTENTIONS, SCHEMES
from .machine import install_triton

AnyKernel = Kernel | AttentionKernel


class Offer(NamedTuple):
    """A name that a user picks, with the variants of its kernel. format: of the weights, or whether an attention is exact."""

    name: str
    format: str
    package: str
    runs_on: str
    kernels: Sequence[AnyKernel]


class KernelRow(NamedTuple):
    """A scheme or an attention, and its kernel.

    format: of the scheme's weights; of an attention whether it is exact or approximate.
    package, version, where: what the kernel comes with, version and folder "" where it isn't installed; of several variants' packages the one in
    use, else one that is installed. available: None where it isn't known, as nothing has been run yet. variant: the one that runs, else "".
    why: for one that doesn't run, the reasons of all its variants. error: the largest relative error that its check saw, None where there is none.
    install: the command that would install it for this torch, or why there is none; None where that would change nothing on this device.
    """

    scheme: str
    format: str
    package: str
    version: str
    where: str
    available: bool | None
    variant: str
    why: str
    error: float | None
    install: str | None
    hardware: str


def linears() -> list[Offer]:
    """The schemes."""
    return [Offer(name, scheme.format, scheme.package, scheme.runs_on, VARIANTS[name]) for name, scheme in SCHEMES.items()]


def attentions() -> list[Offer]:
    """The attentions."""
    words = {True: "exact", False: "approximate"}
    return [Offer(name, words[each.is_exact], each.package, each.runs_on, KERNELS[name]) for name, each in ATTENTIONS.items()]


def row_of(offer: Offer, device: torch.device, findings: Mapping[str, Finding], ask: Callable[[AnyKernel], Foreseen]) -> KernelRow:
    """ask: what is to be said of a variant. The first that doesn't say no stands for the name."""
    kernels, refusals = offer.kernels, []
    taken, available, why = None, False, ""
    for kernel in kernels:
        available, why = ask(kernel)
        if available is not False:
            taken = kernel
            break
        refusals.append(why)
    shown = taken or next((kernel for kernel in kernels if kernel.found()), kernels[0])
    found = shown.found()
    row = KernelRow(
        scheme=offer.name,
        format=offer.format,
        package=shown.package.name if found else offer.package,
        version=found.version if found else "",
        where=found.folder if found else "",
        available=available,
        variant="",
        why="; ".join(dict.fromkeys([why, *refusals] if taken else refusals)),
        error=None,
        install=None,
        hardware=offer.runs_on,
    )
    if available:
        return row._replace(variant=taken.variant, error=_error(taken, device, findings))
    if available is None:
        return row
    seen = (error for kernel in kernels if (error := _seen(kernel, findings)) is not None)
    return row._replace(error=next(seen, None), install=_install(kernels, device))


def tried(kernel: AnyKernel, device: torch.device) -> Foreseen:
    """What running a kernel's checks says."""
    try:
        return kernel.is_supported(device)
    except torch.OutOfMemoryError:
        return None, "the device had no memory left for its check: free some and make the report again"


def known(kernel: AnyKernel, device: torch.device, findings: Mapping[str, Finding]) -> Foreseen:
    """What can be said of a kernel without running anything."""
    return kernel.known(device, findings.get(kernel.address)) if isinstance(kernel, Foreign) else (None, UNCHECKED)


def _install(kernels: Sequence[AnyKernel], device: torch.device) -> str | None:
    """What would install the package of the first variant that has code for the device, or another version where the one here may be the problem."""
    kernel = next((kernel for kernel in kernels if not isinstance(kernel, Foreign) or kernel.runs_on(device)[0]), None)
    found = kernel and kernel.found()
    if isinstance(kernel, Foreign):
        command = install(kernel.package)
        return None if found and command.endswith(f"=={found.version}") else command
    return install_triton() if kernel and kernel.package is TRITON and not found and device.type == "cuda" else None


def _error(kernel: AnyKernel, device: torch.device, findings: Mapping[str, Finding]) -> float | None:
    """The relative error of a kernel that runs; the pack's own are measured here, as their checks keep no figure."""
    if isinstance(kernel, Foreign):
        return _seen(kernel, findings)
    try:
        if isinstance(kernel, AttentionKernel):
            return _finite(error_of(kernel, device, SMALL[0], torch.bfloat16))
        return _finite(numeric.error_of(kernel, device, *numeric.SMALL, torch.bfloat16, True))
    except Exception as problem:
        if is_lack_of_memory(problem):
            return None
        raise


def _seen(kernel: AnyKernel, findings: Mapping[str, Finding]) -> float | None:
    """The relative error that a check in another process has found."""
    finding = findings.get(kernel.address) if isinstance(kernel, Foreign) else None
    return _finite(finding.error) if finding else None


def _finite(error: float | None) -> float | None:
    """JSON has no NaN; where an error is none, the reason says so."""
    return error if error is not None and math.isfinite(error) else None
