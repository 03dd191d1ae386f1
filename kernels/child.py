"""Checks kernels in a child process and remembers what was found."""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from . import remembered

LONGEST_S = 300
"""A kernel may be compiled on its first use."""

log = logging.getLogger(__name__)


def findings(kernels: Sequence[tuple[str, str]], device: torch.device) -> dict[str, dict]:
    """What is found about each kernel: {"works": ..., "why": ..., "error": the largest relative error, or None}.

    kernels: (address, package and version) of each. What is not remembered is checked now, all of it in one child as long as none crashes.
    """
    keys = {name: remembered.key(name, package, device) for name, package in kernels}
    found = {name: known for name in keys if (known := remembered.recall(keys[name]))}
    waiting = [name for name in keys if name not in found]
    if waiting:
        log.info("LightQuant checks kernels in a process of its own, once for each version: %s", ", ".join(waiting))
    while waiting:
        said, lasting = _ask(waiting, device)
        remembered.remember({keys[name]: finding for name, finding in said.items() if lasting and finding.pop("lasting", True)})
        found.update(said)
        waiting = [name for name in waiting if name not in said]
    return found


def _ask(waiting: list[str], device: torch.device) -> tuple[dict[str, dict], bool]:
    """What one child says, with the kernel in whose check it died if it did; and whether that is worth remembering."""
    command = [sys.executable, str(Path(__file__).with_name("check")), str(device), *waiting]
    try:
        child = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=LONGEST_S, check=False)
        output, errors, end = child.stdout, child.stderr, f"exit code {child.returncode}"
    except subprocess.TimeoutExpired as problem:
        output, errors, end = _text(problem.stdout), _text(problem.stderr), f"no answer in {LONGEST_S} s"
    except OSError as problem:
        return {name: _dead(f"no process could be started for it: {problem}") for name in waiting}, False
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"kernel"')]
    said = {line.pop("kernel"): line for line in lines if "works" in line}
    began = [line["kernel"] for line in lines if "begins" in line and line["kernel"] not in said]
    last = (errors.strip().splitlines() or ["it said nothing"])[-1]
    if began:
        return {**said, began[0]: _dead(f"its check ended the process that ran it ({end}): {last}")}, True
    missing = [name for name in waiting if name not in said]
    return {**said, **{name: _dead(f"the process for its check did not come so far ({end}): {last}") for name in missing}}, not missing


def _dead(why: str) -> dict:
    return {"works": False, "why": why, "error": None}


def _text(output: bytes | str | None) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""
