"""Every kernel here: its package, whether it runs and why, what its check measured, what would install it, and what `auto` takes."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..formats import FORMATS
from ..kernels import VARIANTS, Kernel, check_all
from ..kernels.checks import forget, numeric, remembered
from ..kernels.checks.finding import Finding
from ..kernels.contract import UNCHECKED, Foreseen
from ..kernels.foreign.kernel import ForeignKernel
from ..kernels.foreign.packages import TRITON, install
from ..kernels.registry import known_findings
from ..schemes import SCHEMES
from .auto import AutoTakes, auto_takes
from .machine import Environment, environment, install_triton

Progress = Callable[[int, int, str], None]
"""Called with the steps done, all steps, and what comes next."""


class KernelRow(NamedTuple):
    """A scheme and its kernel.

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


@dataclass(frozen=True)
class KernelReport:
    """checked: whether kernels were run for it; remembered: the file with what checks have found."""

    environment: Environment
    kernels: tuple[KernelRow, ...]
    auto: tuple[AutoTakes, ...]
    checked: bool
    remembered: str

    def as_dict(self) -> dict:
        """The same as plain dictionaries, lists, strings and numbers, for JSON."""
        return {
            **vars(self),
            "environment": self.environment._asdict(),
            "kernels": [row._asdict() for row in self.kernels],
            "auto": [each._asdict() for each in self.auto],
        }


def to_json(report: KernelReport) -> str:
    """The report as JSON text."""
    return json.dumps(report.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)


def kernel_report(
    device: torch.device, comfyui: str = "", recheck: bool = False, progress: Progress | None = None, preferred: Sequence[str] = ()
) -> KernelReport:
    """Check every kernel on the device and report. What is remembered isn't checked again, unless recheck says so.

    comfyui: the version of the ComfyUI around; preferred: what `auto` tries first, as for select.
    Raises KernelError where what is remembered can't be forgotten.
    """
    say = progress or (lambda done, total, what: None)
    total = 1 + len(SCHEMES)
    say(0, total, "kernels of other packages, in a process of their own")
    if recheck:
        forget()
    findings = check_all(device)
    rows = []
    for name in SCHEMES:
        say(1 + len(rows), total, name)
        rows.append(_row(name, device, findings, lambda kernel: _tried(kernel, device)))
    auto = tuple(auto_takes(name, device, preferred) for name in FORMATS)
    say(total, total, "done")
    return KernelReport(environment(device, comfyui), tuple(rows), auto, True, str(remembered.path()))


def known_report(device: torch.device, comfyui: str = "") -> KernelReport:
    """The same from what is known already: nothing runs on the device and no process is started."""
    findings = known_findings(device)
    rows = tuple(_row(name, device, findings, lambda kernel: _known(kernel, device, findings)) for name in SCHEMES)
    auto = tuple(AutoTakes(name, None, "", UNCHECKED) for name in FORMATS)
    return KernelReport(environment(device, comfyui), rows, auto, False, str(remembered.path()))


def _row(name: str, device: torch.device, findings: Mapping[str, Finding], ask: Callable[[Kernel], Foreseen]) -> KernelRow:
    """ask: what is to be said of a variant. The first that doesn't say no stands for the scheme."""
    scheme, kernels, refusals = SCHEMES[name], VARIANTS[name], []
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
        scheme=name,
        format=scheme.format,
        package=shown.package.name if found else scheme.package,
        version=found.version if found else "",
        where=found.folder if found else "",
        available=available,
        variant="",
        why="; ".join(dict.fromkeys([why, *refusals] if taken else refusals)),
        error=None,
        install=None,
        hardware=scheme.runs_on,
    )
    if available:
        return row._replace(variant=taken.variant, error=_error(taken, device, findings))
    if available is None:
        return row
    seen = (error for kernel in kernels if (error := _seen(kernel, findings)) is not None)
    return row._replace(error=next(seen, None), install=_install(kernels, device))


def _tried(kernel: Kernel, device: torch.device) -> Foreseen:
    try:
        return kernel.is_supported(device)
    except torch.OutOfMemoryError:
        return None, "the device had no memory left for its check: free some and make the report again"


def _known(kernel: Kernel, device: torch.device, findings: Mapping[str, Finding]) -> Foreseen:
    return kernel.known(device, findings.get(kernel.address)) if isinstance(kernel, ForeignKernel) else (None, UNCHECKED)


def _install(kernels: Sequence[Kernel], device: torch.device) -> str | None:
    """What would install the package of the first variant that has code for the device, or another version where the one here may be the problem."""
    kernel = next((kernel for kernel in kernels if not isinstance(kernel, ForeignKernel) or kernel.runs_on(device)[0]), None)
    found = kernel and kernel.found()
    if isinstance(kernel, ForeignKernel):
        command = install(kernel.package)
        return None if found and command.endswith(f"=={found.version}") else command
    return install_triton() if kernel and kernel.package is TRITON and not found and device.type == "cuda" else None


def _error(kernel: Kernel, device: torch.device, findings: Mapping[str, Finding]) -> float | None:
    """The relative error of a kernel that runs; the pack's own are measured here, as their checks keep no figure."""
    if isinstance(kernel, ForeignKernel):
        return _seen(kernel, findings)
    try:
        return _finite(numeric.error_of(kernel, device, *numeric.SMALL, torch.bfloat16, True))
    except torch.OutOfMemoryError:
        return None


def _seen(kernel: Kernel, findings: Mapping[str, Finding]) -> float | None:
    """The relative error that a check in another process has found."""
    finding = findings.get(kernel.address) if isinstance(kernel, ForeignKernel) else None
    return _finite(finding.error) if finding else None


def _finite(error: float | None) -> float | None:
    """JSON has no NaN; where an error is none, the reason says so."""
    return error if error is not None and math.isfinite(error) else None
