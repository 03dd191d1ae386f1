"""`lightquant schemes`: which schemes run on this machine, and why the others don't."""

import argparse
import json

import torch

from ..errors import KernelError
from ..kernels import report
from ..schemes import SCHEMES

HELP = "list the schemes and say for each whether it runs on this machine, and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=best, help="the torch device to ask about (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    try:
        device = torch.device(options.device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as problem:
        raise KernelError(f"there is no device {options.device} here ({str(problem).splitlines()[0]}). Try --device cpu.") from problem
    verdicts = report(device)
    if options.json:
        print(json.dumps({name: {"format": SCHEMES[name].format, "runs": runs, "why": why} for name, (runs, why) in verdicts.items()}, indent=1))
        return 0
    for name, (runs, why) in verdicts.items():
        print(f"{name:18} {SCHEMES[name].format:13} {'yes' if runs else 'no ':3}  {why}")
        if not runs:
            print(f"{'':37} hardware: {SCHEMES[name].runs_on}")
    return 0
