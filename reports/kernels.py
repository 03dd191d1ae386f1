"""Every kernel here, of linears and of attention: its package, whether it runs and why, its error, what would install it, and what `auto` takes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..formats import FORMATS
from ..kernels import attention, check_all
from ..kernels.checks import forget, remembered
from ..kernels.contract import UNCHECKED
from ..kernels.registry import known_findings
from ..schemes import AUTO
from .auto import AutoTakes, auto_takes
from .kernel_rows import KernelRow, Offer, attentions, known, linears, row_of, tried
from .machine import Environment, environment

Progress = Callable[[int, int, str], None]
"""Called with the steps done, all steps, and what comes next."""


@dataclass(frozen=True)
class KernelReport:
    """checked: whether kernels were run for it; remembered: the file with what checks have found. auto_attention: what `auto` takes, and why."""

    environment: Environment
    kernels: tuple[KernelRow, ...]
    auto: tuple[AutoTakes, ...]
    checked: bool
    remembered: str
    attention: tuple[KernelRow, ...]
    auto_attention: str

    def as_dict(self) -> dict:
        """The same as plain dictionaries, lists, strings and numbers, for JSON."""
        return {
            **vars(self),
            "environment": self.environment._asdict(),
            "kernels": [row._asdict() for row in self.kernels],
            "auto": [each._asdict() for each in self.auto],
            "attention": [row._asdict() for row in self.attention],
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
    schemes, others = linears(), attentions()
    total = 1 + len(schemes) + len(others)
    say(0, total, "kernels of other packages, in a process of their own")
    if recheck:
        forget()
    findings = {**check_all(device), **attention.check_all(device)}
    rows = []
    for offer in (*schemes, *others):
        say(1 + len(rows), total, offer.name)
        rows.append(row_of(offer, device, findings, lambda kernel: tried(kernel, device)))
    auto, (kernel, why) = tuple(auto_takes(name, device, preferred) for name in FORMATS), attention.select(AUTO, device)
    say(total, total, "done")
    taken = f"{kernel.name if kernel else attention.OWN}: {why.removeprefix(f'{AUTO}: ')}"
    of_linears, of_attention = tuple(rows[: len(schemes)]), tuple(rows[len(schemes) :])
    return KernelReport(environment(device, comfyui), of_linears, auto, True, str(remembered.path()), of_attention, taken)


def known_report(device: torch.device, comfyui: str = "") -> KernelReport:
    """The same from what is known already: nothing runs on the device and no process is started."""
    findings = {**known_findings(device), **attention.known_findings(device)}

    def rows(offers: Sequence[Offer]) -> tuple[KernelRow, ...]:
        return tuple(row_of(offer, device, findings, lambda kernel: known(kernel, device, findings)) for offer in offers)

    auto = tuple(AutoTakes(name, None, "", UNCHECKED) for name in FORMATS)
    return KernelReport(environment(device, comfyui), rows(linears()), auto, False, str(remembered.path()), rows(attentions()), UNCHECKED)
