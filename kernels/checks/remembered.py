"""What checks in processes of their own have found, kept from one start of ComfyUI to the next."""

import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

from ...errors import KernelError
from ..driver import driver
from ..foreign.packages import TRITON, find
from .finding import Finding

PACK = Path(__file__).resolve().parents[2]

OF_AN_EARLIER_START = "that was found at an earlier start: to check it again, turn on recheck in Kernel Report, or run lightquant doctor --recheck"

log = logging.getLogger(__name__)


def path() -> Path:
    """The file, in the user's cache folder."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lightquant" / "kernels.json"


def key(kernel: str, package: str, device: torch.device) -> str:
    """What a finding holds for: this kernel of this package, with this torch and Triton, on this device with this driver, checked by this code."""
    triton = find(TRITON)
    parts = [kernel, package, f"torch {torch.__version__}", f"{TRITON.module} {triton.version if triton else ''}"]
    if device.type == "cuda":
        capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
        parts += [f"{torch.cuda.get_device_name(device)} {capability}", f"driver {driver()}"]
    else:
        parts.append(device.type)
    return " | ".join((*parts, _code()))


_here: dict[str, Finding] = {}
"""What this process has found out, should the file not keep it."""


def recall(known: str) -> Finding | None:
    """What is known under a key. A failure that another process has found says so, and how to let it be found out again."""
    if known in _here:
        return _here[known]
    kept = _read().get(known)
    try:
        found = Finding(**kept) if isinstance(kept, dict) else None
    except TypeError:  # another hand has written it
        return None
    return found._replace(why=f"{found.why}; {OF_AN_EARLIER_START}") if found and not found.works else found


def remember(findings: Mapping[str, Finding]) -> None:
    """Add those that last to what is known, by key. A file that can't be written costs the next start its checks, and no more."""
    _here.update((known, finding) for known, finding in findings.items() if finding.lasting or finding.costly)
    target, lasting = path(), {known: finding for known, finding in findings.items() if finding.lasting}
    if not lasting:
        return
    kept = {known: {"works": finding.works, "why": finding.why, "error": finding.error} for known, finding in lasting.items()}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            fresh = Path(folder, target.name)
            fresh.write_text(json.dumps({**_read(), **kept}, indent=1), encoding="utf-8")
            os.replace(fresh, target)
    except OSError as problem:
        log.warning("LightQuant can't keep what it found out about the kernels here in %s: %s", target, problem)


def forget() -> None:
    """Let every check be made again. Raises KernelError where the file can't be removed."""
    target = path()
    _here.clear()
    try:
        target.unlink(missing_ok=True)
    except OSError as problem:
        raise KernelError(f"What was found out about the kernels here can't be forgotten ({problem}). Delete {target} yourself.") from problem


def _read() -> dict[str, dict]:
    try:
        known = json.loads(path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


@cache
def _code() -> str:
    """A short hash of the code that checks and multiplies: another version of it is to be checked again."""
    parts = (file.read_bytes() for folder in ("formats", "kernels") for file in sorted((PACK / folder).rglob("*.py")))
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]
