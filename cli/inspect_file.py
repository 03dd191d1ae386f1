"""`lightquant inspect FILE`: what a checkpoint is, without loading it."""

import argparse
import os
import sys

from ..errors import CheckpointError
from ..loaders.components import COMPONENTS
from ..loaders.discover import identify
from ..loaders.files import dtypes_in
from ..schemes import schemes_of

HELP = "say what a file is: component, format, the schemes that fit it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=".safetensors or .pth")


def run(options: argparse.Namespace) -> int:
    worst = 0
    for path in options.files:
        try:
            print(f"{path}: {describe(path)}")
        except CheckpointError as problem:
            print(problem, file=sys.stderr)
            worst = 1
    return worst


def describe(path: str) -> str:
    """One line about a file. Raises CheckpointError if it can't be read."""
    identity = identify(dtypes_in(path))
    size = f"{os.path.getsize(path) / 2**30:.2f} GiB"
    if identity is None:
        return f"{size}, no model that LightQuant knows"
    title = COMPONENTS[identity.component].title
    if identity.format is None:
        return f"{size}, {title}, not quantized in one of LightQuant's formats"
    return f"{size}, {title}, {identity.format}; schemes: {', '.join(schemes_of(identity.format))}"
