"""A kernel report as text that can be pasted into a bug report."""

import textwrap
from collections.abc import Iterable

from ..formats import FORMATS
from ..schemes import ATTENTIONS, AUTO, SCHEMES
from .kernel_rows import KernelRow
from .kernels import KernelReport
from .machine import Environment
from .text import size_text

WIDTH = 140
"""Lines are no longer, but for a path or an address in them that is."""

_LABEL = 14
_HERE = {True: "runs", False: "can't run", None: "not checked"}


def to_text(report: KernelReport) -> str:
    """The machine, every scheme, every attention, and at the end what `auto` takes; nothing in it depends on the terminal."""
    lines = ["LightQuant kernel report", *_environment(report.environment), *_said("findings", f"kept in {report.remembered}"), ""]
    for row in report.kernels:
        lines += _row(row)
    lines += ["", "attention"]
    for row in report.attention:
        lines += _row(row)
    lines += _said(AUTO, report.auto_attention)
    lines += ["", f"{AUTO} takes"]
    for each in report.auto:
        lines += _said(each.format, each.said)
    return "\n".join(line.rstrip() for line in lines)


def _environment(machine: Environment) -> Iterable[str]:
    gpu = [size_text(machine.memory) if machine.memory else "", f"driver {machine.driver}" if machine.driver else ""]
    said = {
        "LightQuant": machine.lightquant,
        "ComfyUI": _listed(machine.comfyui or "of unknown version", machine.comfy_kitchen and f"comfy-kitchen {machine.comfy_kitchen}"),
        "Python": f"{machine.python}, {machine.executable}",
        "system": machine.system,
        "torch": f"{machine.torch}, {machine.backend}",
        "Triton": machine.triton,
        "device": _listed(f"{machine.name} ({machine.device})", machine.capability, *gpu),
    }
    for label, text in said.items():
        yield from _said(label, text)


def _row(row: KernelRow) -> Iterable[str]:
    names, formats = max(map(len, (*SCHEMES, *ATTENTIONS))), max(map(len, FORMATS))
    package = f"{row.package} {row.version or 'of unknown version'}" if row.where else row.package
    yield f"{row.scheme:{names}}  {row.format:{formats}}  {_HERE[row.available]:11}  {package}"
    if row.available and row.variant not in row.why:
        yield from _said("by", row.variant)
    if row.error is not None:
        yield from _said("error", f"{row.error:.2g}")
    yield from _said("why", row.why)
    if row.where:
        yield from _said("found in", row.where)
    if not row.available:
        yield from _said("hardware", row.hardware)
    if row.install:
        yield from _said("install", row.install)


def _said(label: str, text: str) -> list[str]:
    """A label and what it says, in as many lines as that takes; paths and commands are not cut in two."""
    indent = " " * (_LABEL + 2)
    return textwrap.wrap(text, WIDTH, initial_indent=f"  {label:{_LABEL}}", subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))
