"""`lightquant doctor`: every kernel on this machine, as text for a bug report."""

import argparse
import sys

from ..reports.kernels import Progress, kernel_report, to_json
from ..reports.kernels_text import to_text
from .comfyui import add_comfyui, version
from .device import add_device, device_of
from .output import in_language

HELP = "check every kernel on this machine: versions, what runs, why the rest doesn't, and what would install it; paste it into a bug report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_device(parser)
    add_comfyui(parser)
    parser.add_argument("--recheck", action="store_true", help="forget what earlier checks have found, and check everything again")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    progress = _line() if sys.stderr.isatty() else None
    report = kernel_report(device_of(options), version(options.comfyui), options.recheck, progress)
    print(to_json(report) if options.json else to_text(report, in_language))
    return 0


def _line() -> Progress:
    """A progress callback that keeps one line of the terminal up to date, and clears it at the end."""

    def progress(done: int, total: int, what: str) -> None:
        said = "" if done == total else f"{done} of {total}: {what}"
        print(f"\r\033[K{said}", end="", file=sys.stderr, flush=True)

    return progress
