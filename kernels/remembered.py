"""What checks in processes of their own have found, kept from one start of ComfyUI to the next."""

import hashlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import torch

PACK = Path(__file__).resolve().parents[1]

log = logging.getLogger(__name__)


def path() -> Path:
    """The file, in the user's cache folder."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lightquant" / "kernels.json"


def key(kernel: str, package: str, device: torch.device) -> str:
    """What a finding holds for: this kernel of this package, with this torch, on this device, checked by this code."""
    capability = ".".join(map(str, torch.cuda.get_device_capability(device))) if device.type == "cuda" else ""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return " | ".join((kernel, package, f"torch {torch.__version__}", f"{name} {capability}".strip(), _code()))


def recall(finding: str) -> dict | None:
    """What is known under a key."""
    return _read().get(finding)


def remember(findings: dict[str, dict]) -> None:
    """Add to what is known. A file that can't be written costs the next start its checks, and no more."""
    target = path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, encoding="utf-8", delete=False) as file:
            json.dump({**_read(), **findings}, file, indent=1)
        os.replace(file.name, target)
    except OSError as problem:
        log.warning("LightQuant can't keep what it found out about the kernels here in %s: %s", target, problem)


def _read() -> dict[str, dict]:
    try:
        known = json.loads(path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _code() -> str:
    """A short hash of the code that checks and multiplies: another version of it is to be checked again."""
    parts = (file.read_bytes() for folder in ("formats", "kernels") for file in sorted((PACK / folder).rglob("*.py")))
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]
