"""Conversions as a page asks for them."""

import os
import time

WAIT_S = 120

DIT = {"kind": "convert", "component": "dit", "checkpoint": "wan.safetensors", "format": "int8-channel", "filename": "out"}


def ended(ask, job: dict) -> dict:
    """The job once it has ended."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        status, job = ask("GET", f"jobs/{job['id']}")
        assert status == 200
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"the job has not ended: {job}")


def files_in(folder) -> set[str]:
    return {os.path.relpath(os.path.join(place, name), folder) for place, folders, files in os.walk(folder) for name in [*folders, *files]}
