"""`lightquant schemes`: which schemes run on this machine, and why the others don't."""

import argparse
import json

from ..kernels import report
from ..reports.text import table
from ..schemes import SCHEMES
from .device import add_device, device_of
from .output import say

HELP = "list the schemes and say for each whether it runs on this machine, and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    verdicts = report(device_of(options))
    if options.json:
        print(json.dumps({name: {"format": SCHEMES[name].format, "runs": runs, "why": why} for name, (runs, why) in verdicts.items()}, indent=1))
        return 0
    rows: list[tuple[str, ...]] = []
    for name, (runs, why) in verdicts.items():
        rows += [(name, SCHEMES[name].format, "yes" if runs else "no", why)] + ([] if runs else [("", "", "", f"hardware: {SCHEMES[name].runs_on}")])
    say("\n".join(table(rows)))
    return 0
