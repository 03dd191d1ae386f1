"""The Python and the ComfyUI that the demo and the tests run in, and the pack in both.

Either the user's own ComfyUI, or a pinned release set up in the repository's .env folder. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pack
from own import own_comfyui, own_python
from releases import DEFAULT_RELEASE, RELEASES, set_up_release
from steps import SetUpError, alone

__all__ = ["REPOSITORY", "Environment", "SetUpError", "add_arguments", "install_missing", "set_up", "where_line"]

# Not resolved: in custom_nodes the repository may be a link, and its parent folder tells which ComfyUI is meant.
REPOSITORY = Path(os.path.abspath(__file__)).parents[1]
ENV = REPOSITORY / ".env"
LOCK = ENV / "lock"
LOGS = ENV / "logs"
OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True)
class Environment:
    """A Python that can run ComfyUI, and the folder of that ComfyUI."""

    python: Path
    comfyui: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --comfyui, --release and --where."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        help="use this ComfyUI and its Python (default: COMFYUI_PATH, else the ComfyUI whose custom_nodes holds the pack, else --release)",
    )
    which.add_argument("--release", choices=list(RELEASES), help=f"set up this ComfyUI release in .env (default: {DEFAULT_RELEASE})")
    parser.add_argument("--where", action="store_true", help="set up, print the Python and the ComfyUI as one line of JSON, and stop")


def set_up(options: argparse.Namespace) -> Environment:
    """Set up all that the options of `add_arguments` ask for; a second time this does nothing. Raises SetUpError."""
    if sys.version_info < OLDEST_PYTHON:
        found, wanted = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST_PYTHON))
        raise SetUpError("Checking Python", f"this is Python {found} ({sys.executable}).", f"run the command with Python {wanted} or newer")
    own = None if options.release else own_comfyui(options.comfyui, os.environ, REPOSITORY)
    with alone(LOCK):
        python, comfyui = (own_python(own), own) if own else set_up_release(options.release or DEFAULT_RELEASE, ENV)
        pack.link(REPOSITORY, comfyui)
        pack.install_pack(python, REPOSITORY, LOGS)
    return Environment(python, comfyui)


def install_missing(environment: Environment, requirements: Path) -> None:
    """Install the lines `name>=version` of a requirements file that the Python doesn't meet yet. Raises SetUpError."""
    with alone(LOCK):
        pack.install_missing(environment.python, requirements, LOGS)


def where_line(environment: Environment) -> str:
    """The line that --where prints."""
    return json.dumps({"python": str(environment.python), "comfyui": str(environment.comfyui)})
