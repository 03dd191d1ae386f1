"""A kernel report as text that can be pasted into a bug report."""

import textwrap
from collections.abc import Callable, Iterable

from ..formats import FORMATS
from ..schemes import ATTENTIONS, AUTO, SCHEMES
from ..texts import padded
from .kernel_rows import KernelRow
from .kernels import KernelReport
from .machine import Environment
from .text import size_text

WIDTH = 140
"""Lines are no longer, but for a path or an address in them that is."""

Say = Callable[[str], str]
"""Says a text in the reader's language: before it is cut into lines, as none is known by a part of it."""

_LABEL = 14
_HERE = {True: "runs", False: "can't run", None: "not checked"}


def to_text(report: KernelReport, say: Say = str) -> str:
    """The machine, every scheme, every attention, and at the end what `auto` takes; nothing in it depends on the terminal."""
    lines = [say("LightQuant kernel report")]
    for label, text in [*_environment(report.environment), ("findings", f"kept in {report.remembered}")]:
        lines += _said(label, text, say)
    lines.append("")
    for row in report.kernels:
        lines += _row(row, say)
    lines += ["", say("attention")]
    for row in report.attention:
        lines += _row(row, say)
    lines += _said(AUTO, report.auto_attention, say)
    lines += ["", say(f"{AUTO} takes")]
    for each in report.auto:
        lines += _said(each.format, each.said, say)
    return "\n".join(line.rstrip() for line in lines)


def _environment(machine: Environment) -> list[tuple[str, str]]:
    gpu = [size_text(machine.memory) if machine.memory else "", f"driver {machine.driver}" if machine.driver else ""]
    return [
        ("LightQuant", machine.lightquant),
        ("ComfyUI", _listed(machine.comfyui or "of unknown version", machine.comfy_kitchen and f"comfy-kitchen {machine.comfy_kitchen}")),
        ("Python", f"{machine.python}, {machine.executable}"),
        ("system", machine.system),
        ("torch", f"{machine.torch}, {machine.backend}"),
        ("Triton", machine.triton),
        ("device", _listed(f"{machine.name} ({machine.device})", machine.capability, *gpu)),
    ]


def _row(row: KernelRow, say: Say) -> list[str]:
    lines = [_head(row, say)]
    for label, text in _about(row):
        lines += _said(label, text, say)
    return lines


def _head(row: KernelRow, say: Say) -> str:
    names, formats = max(map(len, (*SCHEMES, *ATTENTIONS))), max(map(len, FORMATS))
    package = f"{row.package} {row.version or say('of unknown version')}" if row.where else row.package
    return f"{row.scheme:{names}}  {padded(say(row.format), formats)}  {padded(say(_HERE[row.available]), 11)}  {package}"


def _about(row: KernelRow) -> Iterable[tuple[str, str]]:
    """What is said below a row, each with its label."""
    if row.available and row.variant not in row.why:
        yield "by", row.variant
    if row.error is not None:
        yield "error", f"{row.error:.2g}"
    yield "why", row.why
    if row.where:
        yield "found in", row.where
    if not row.available:
        yield "hardware", row.hardware
    if row.install:
        yield "install", row.install


def _said(label: str, text: str, say: Say) -> list[str]:
    """A label and what it says, in as many lines as that takes; paths and commands are not cut in two."""
    indent = " " * (_LABEL + 2)
    return textwrap.wrap(
        say(text), WIDTH, initial_indent=f"  {padded(say(label), _LABEL)}", subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))
