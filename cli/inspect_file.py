"""`lightquant inspect PATH...`: what checkpoints are, without loading them."""

import argparse
import json
import sys
from collections.abc import Callable

import torch

from ..errors import LightQuantError
from ..reports.inspect import Inspection, inspect
from ..reports.picture import draw
from ..reports.text import to_text
from .device import add_device, device_of
from .output import say, tell

HELP = "say what a file or folder is: model, size, format, precision of the layers, and which schemes run it here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help=".safetensors, .pth, or the folder of a split or chunked checkpoint")
    parser.add_argument("--data", action="store_true", help="read the tensors too: scale ranges, NaN, empty and saturated rows")
    parser.add_argument("--json", action="store_true", help="print JSON: a list with one report a path")
    parser.add_argument("--picture", metavar="OUT.png", help="also draw the report; for one path")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    if options.picture and len(options.paths) > 1:
        raise LightQuantError("--picture takes one path, as it writes one picture. Inspect the paths one by one.")
    device, reports, failed = device_of(options), [], False
    for path in options.paths:
        try:
            report = _inspect(path, device, options.data)
        except LightQuantError as problem:
            tell(str(problem))
            failed = True
            continue
        reports.append(report)
        if not options.json:
            say(to_text(report))
    if options.json:
        print(json.dumps([report.as_dict() for report in reports], indent=1, allow_nan=False))
    if options.picture and reports:
        _save(reports[0], options.picture)
    return int(failed)


def _inspect(path: str, device: torch.device, data: bool) -> Inspection:
    progress = _percent() if data and sys.stderr.isatty() else None
    report = inspect(path, device, data, progress)
    if progress:
        print(file=sys.stderr)
    return report


def _percent() -> Callable[[int, int], None]:
    """A progress callback that writes to the terminal when the figure changes."""
    shown = -1

    def progress(done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // max(1, total)
        if percent != shown:
            shown = percent
            print(f"\rreading {percent} %", end="", file=sys.stderr, flush=True)

    return progress


def _save(report: Inspection, path: str) -> None:
    try:
        draw(report).save(path)
    except (OSError, ValueError) as problem:
        raise LightQuantError(f"The picture can't be written to {path} ({problem}). Give a name ending in .png in a folder that exists.") from problem
