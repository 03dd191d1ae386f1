"""Every kernel here: its package, whether it runs and why, what its check measured, what would install it, and what `auto` takes."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..errors import KernelError
from ..formats import FORMATS
from ..kernels import Kernel, child, probe, remembered
from ..kernels.foreign import ForeignKernel
from ..kernels.packages import Found, Package, install
from ..kernels.registry import select, variants
from ..schemes import AUTO, SCHEMES
from .machine import CALLED, TRITON, Environment, environment, install_triton, located

Progress = Callable[[int, int, str], None]
"""Called with the steps done, all steps, and what comes next."""

Answer = tuple[bool | None, str]
"""Whether a kernel runs, None where that isn't known, and the reason."""

UNCHECKED = "not checked yet"


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


class AutoTakes(NamedTuple):
    """What `auto` runs for a format. scheme: None where nothing runs, or where that isn't known; why says which."""

    format: str
    scheme: str | None
    variant: str
    why: str


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


def kernel_report(device: torch.device, comfyui: str = "", recheck: bool = False, progress: Progress | None = None) -> KernelReport:
    """Check every kernel on the device and report. What is remembered isn't checked again, unless recheck says so.

    comfyui: the version of the ComfyUI around. Raises KernelError where what is remembered can't be forgotten.
    """
    say = progress or (lambda done, total, what: None)
    total = 1 + len(SCHEMES)
    say(0, total, "kernels of other packages, in a process of their own")
    if recheck:
        remembered.forget()
        probe.small_check.cache_clear()
    findings = check_all(device)
    rows = []
    for name in SCHEMES:
        say(1 + len(rows), total, name)
        rows.append(_row(name, device, findings, lambda kernel: _tried(kernel, device)))
    auto = tuple(_auto(name, device) for name in FORMATS)
    say(total, total, "done")
    return KernelReport(environment(device, comfyui), tuple(rows), auto, True, str(remembered.path()))


def known_report(device: torch.device, comfyui: str = "") -> KernelReport:
    """The same from what is known already: nothing runs on the device and no process is started."""
    asked = {kernel.address: _remembered(kernel, device) for name in SCHEMES for kernel in variants(name) if isinstance(kernel, ForeignKernel)}
    findings = {address: finding for address, finding in asked.items() if finding}
    rows = tuple(_row(name, device, findings, lambda kernel: _known(kernel, device, findings)) for name in SCHEMES)
    auto = tuple(AutoTakes(name, None, "", UNCHECKED) for name in FORMATS)
    return KernelReport(environment(device, comfyui), rows, auto, False, str(remembered.path()))


def check_all(device: torch.device) -> dict[str, dict]:
    """What the checks of all kernels of other packages find that may run here, by address; one process for what isn't remembered."""
    kernels = {kernel.address: kernel for name in SCHEMES for kernel in variants(name) if isinstance(kernel, ForeignKernel)}
    wanted = [(address, found) for address, kernel in kernels.items() if kernel.runs_on(device)[0] and (found := kernel.found())]
    return child.findings([(address, found.described) for address, found in wanted], device) if wanted else {}


def _row(name: str, device: torch.device, findings: Mapping[str, dict], ask: Callable[[Kernel], Answer]) -> KernelRow:
    """ask: what is to be said of a variant. The first that doesn't say no stands for the scheme."""
    scheme, kernels, refusals = SCHEMES[name], variants(name), []
    taken, available, why = None, False, ""
    for kernel in kernels:
        available, why = ask(kernel)
        if available is not False:
            taken = kernel
            break
        refusals.append(why)
    package, found = _package(taken) if taken else next((each for each in map(_package, kernels) if each[1]), _package(kernels[0]))
    row = KernelRow(
        scheme=name,
        format=scheme.format,
        package=package.name if found else scheme.package,
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


def _tried(kernel: Kernel, device: torch.device) -> Answer:
    try:
        return kernel.is_supported(device)
    except torch.OutOfMemoryError:
        return None, "the device had no memory left for its check: free some and make the report again"


def _known(kernel: Kernel, device: torch.device, findings: Mapping[str, dict]) -> Answer:
    if not isinstance(kernel, ForeignKernel):
        return None, UNCHECKED
    able, why = kernel.runs_on(device)
    if not able:
        return False, why
    found = kernel.found()
    if found is None:
        return False, f"{kernel.package.name} is not installed"
    finding = findings.get(kernel.address)
    return (finding["works"], f"{found.described}: {finding['why']}") if finding else (None, UNCHECKED)


def _remembered(kernel: ForeignKernel, device: torch.device) -> dict | None:
    found = kernel.found()
    return remembered.recall(remembered.key(kernel.address, found.described, device)) if found else None


def _package(kernel: Kernel) -> tuple[Package | None, Found | None]:
    """What a kernel comes with and where that is; of the pack's own kernels, what they call."""
    if isinstance(kernel, ForeignKernel):
        return kernel.package, kernel.found()
    package = next((each for each in CALLED if each.name in SCHEMES[kernel.name].package.lower()), None)
    return package, package and located(package)


def _install(kernels: Sequence[Kernel], device: torch.device) -> str | None:
    """What would install the package of the first variant that has code for the device, or another version where the one here may be the problem."""
    kernel = next((kernel for kernel in kernels if not isinstance(kernel, ForeignKernel) or kernel.runs_on(device)[0]), None)
    package, found = _package(kernel) if kernel else (None, None)
    if package in CALLED:
        return install_triton() if package is TRITON and found is None and device.type == "cuda" else None
    if package is None:
        return None
    command = install(package)
    as_wanted = found is not None and command.endswith(f"=={found.version}")
    return None if as_wanted else command


def _error(kernel: Kernel, device: torch.device, findings: Mapping[str, dict]) -> float | None:
    """The relative error of a kernel that runs; the pack's own are measured here, as their checks keep no figure."""
    if isinstance(kernel, ForeignKernel):
        return _seen(kernel, findings)
    try:
        return _finite(probe.error_of(kernel, device, probe.ROWS, probe.CHECKED_WIDTH, probe.OUT_FEATURES, torch.bfloat16, True))
    except torch.OutOfMemoryError:
        return None


def _seen(kernel: Kernel, findings: Mapping[str, dict]) -> float | None:
    """The relative error that a check in another process has found."""
    return _finite(findings.get(kernel.address, {}).get("error")) if isinstance(kernel, ForeignKernel) else None


def _finite(error: float | None) -> float | None:
    """JSON has no NaN; where an error is none, the reason says so."""
    return error if error is not None and math.isfinite(error) else None


def _auto(format_name: str, device: torch.device) -> AutoTakes:
    try:
        chosen = select(AUTO, format_name, device)
    except KernelError as problem:
        return AutoTakes(format_name, None, "", str(problem))
    except torch.OutOfMemoryError:
        return AutoTakes(format_name, None, "", "the device had no memory left to find out: free some and make the report again")
    return AutoTakes(format_name, chosen.kernel.name, chosen.kernel.variant, chosen.why.removeprefix(f"{AUTO}: "))
