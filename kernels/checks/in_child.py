"""Checks kernels in a child process and remembers what was found."""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from . import remembered
from .finding import Finding

LONGEST_S = 300
"""For each kernel, which may be compiled on its first use."""

PROGRAM = Path(__file__).with_name("child")

KILLED = -9
"""What subprocess says of a process that SIGKILL has ended; Windows has no such signal."""

Checked = tuple[str, str]
"""A kernel's address, and its package and version."""

log = logging.getLogger(__name__)


def recalled(kernels: Sequence[Checked], device: torch.device) -> dict[str, Finding]:
    """What is remembered of the kernels, by address; nothing runs for it."""
    return {name: known for name, package in kernels if (known := remembered.recall(remembered.key(name, package, device)))}


def findings(kernels: Sequence[Checked], device: torch.device) -> dict[str, Finding]:
    """What is found about each kernel, by address. What is not remembered is checked now, all of it in one child as long as none crashes."""
    found = recalled(kernels, device)
    keys = {name: remembered.key(name, package, device) for name, package in kernels if name not in found}
    if keys:
        log.info("LightQuant checks kernels in a process of its own, once for each version: %s", ", ".join(keys))
    while waiting := [name for name in keys if name not in found]:
        said = _ask(waiting, device)
        remembered.remember({keys[name]: finding for name, finding in said.items()})
        found.update(said)
    return found


class _Run(NamedTuple):
    """What a child wrote, how it ended, in words, and what an end in the middle of a check says: whether it lasts, and whether it took minutes."""

    output: str
    errors: str
    end: str
    lasting: bool = True
    costly: bool = False


def _ask(waiting: list[str], device: torch.device) -> dict[str, Finding]:
    """What one child says; for the kernel in whose check it died, if it did, that; if it came to none, that for all."""
    try:
        run = _run([sys.executable, str(PROGRAM), str(device), *waiting], LONGEST_S * len(waiting))
    except OSError as problem:
        return dict.fromkeys(waiting, Finding(False, f"no process could be started for it: {problem}", lasting=False))
    lines = [json.loads(line) for line in run.output.splitlines() if line.startswith('{"kernel"')]
    said = {line.pop("kernel"): Finding(**line) for line in lines if "works" in line}
    began = [line["kernel"] for line in lines if "begins" in line and line["kernel"] not in said]
    last = (run.errors.strip().splitlines() or ["it said nothing"])[-1]
    if began:
        why = f"its check ended the process that ran it ({run.end}): {last}"
        return {**said, began[0]: Finding(False, why, lasting=run.lasting, costly=run.costly)}
    none = Finding(False, f"the process for its check did not come so far ({run.end}): {last}", lasting=False)
    return {**dict.fromkeys(waiting, none), **said}


def _run(command: list[str], longest_s: int) -> _Run:
    try:
        child = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=longest_s, check=False)
    except subprocess.TimeoutExpired as problem:  # of a machine that is busy, maybe, or of a compiler that had much to do
        return _Run(_text(problem.stdout), _text(problem.stderr), f"no answer in {longest_s} s", lasting=False, costly=True)
    if child.returncode == KILLED:
        return _Run(child.stdout, child.stderr, "killed from outside, as systems do that run out of memory", lasting=False)
    return _Run(child.stdout, child.stderr, f"exit code {child.returncode}")


def _text(output: bytes | str | None) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""
