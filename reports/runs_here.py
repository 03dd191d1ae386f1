"""Which schemes can run a file on a device, and why the others can't."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..kernels import report
from ..schemes import SCHEMES


class Runs(NamedTuple):
    """scheme, format: a row of the table; fits: whether it reads layers of the file; runs: whether it also runs here; why: the reason for either.

    hardware: what it can run on at all.
    """

    scheme: str
    format: str
    fits: bool
    runs: bool
    why: str
    hardware: str


def schemes_for(formats: Sequence[str], device: torch.device) -> tuple[Runs, ...]:
    """Every scheme, those of the file's formats first. formats: empty where no scheme can read the file."""
    verdicts = report(device)
    rows = [_row(name, formats, *verdicts[name]) for name in SCHEMES]
    return tuple(sorted(rows, key=lambda row: not row.fits))


def device_name(device: torch.device) -> str:
    """The device as its owner knows it."""
    return f"{torch.cuda.get_device_name(device)} ({device})" if device.type == "cuda" else str(device)


def _row(name: str, formats: Sequence[str], supported: bool, reason: str) -> Runs:
    scheme = SCHEMES[name]
    if scheme.format not in formats:
        return Runs(name, scheme.format, False, False, f"reads {scheme.format}", scheme.runs_on)
    return Runs(name, scheme.format, True, supported, reason, scheme.runs_on)
