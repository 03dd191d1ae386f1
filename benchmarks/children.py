"""Scripts that do each thing in a process of its own: they start themselves once more, with `--child` and what to do."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run(part: Path, *what: str, more: Sequence[str] = (), seconds: float = float("inf")) -> dict | str:
    """What the child wrote to the file `part`, {} if nothing; or how it ended, where it went wrong.

    more: options that go before those of this process. seconds: it is killed then.
    """
    part.unlink(missing_ok=True)
    command = [sys.executable, *sys.argv, *more, "--out", str(part), "--child", *what]
    try:
        ended = subprocess.run(command, check=False, timeout=None if seconds == float("inf") else seconds).returncode
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    if ended:
        return f"its process ended with {ended}"
    return json.loads(part.read_text(encoding="utf-8")) if part.exists() else {}


def end() -> None:
    """End this process here and now: at a regular exit comfy-aimdo's thread was seen to abort it, after everything was done."""
    sys.stdout.flush()
    os._exit(0)
