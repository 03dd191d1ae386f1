"""The option `--device`, which several commands take."""

import argparse

import torch

from ..errors import KernelError


def add_device(parser: argparse.ArgumentParser) -> None:
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=best, help="the torch device to ask about (default: %(default)s)")


def device_of(options: argparse.Namespace) -> torch.device:
    """The device that was asked for. Raises KernelError if it is not here."""
    try:
        device = torch.device(options.device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as problem:
        raise KernelError(f"there is no device {options.device} here ({str(problem).splitlines()[0]}). Try --device cpu.") from problem
    return device
