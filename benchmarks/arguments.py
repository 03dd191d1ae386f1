"""The options that benchmark scripts share. Standard library only, as some start ComfyUI before torch may be imported."""

import argparse
import re
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

WAN_480P = [21, 60, 104]
"""The latent of 832x480, 81 frames: T, H, W."""


def parser(description: str, seconds: str = "end about then; what is left out is listed") -> argparse.ArgumentParser:
    """Where the result goes, of which commit it is, and when to end. seconds: what that does in the script at hand."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", required=True)
    made.add_argument("--commit", type=commit, default="", help="what is measured; git is asked if left out")
    made.add_argument("--seconds", default=float("inf"), type=float, help=seconds)
    return made


def whole_steps(description: str, steps: int) -> argparse.ArgumentParser:
    """Of the scripts that sample with the 14B model in ComfyUI; steps: of a run, by default."""
    made = parser(description)
    made.add_argument("--comfyui", required=True)
    made.add_argument("--folder", default="/tmp/lightquant-bench", help="where the files of up to 15 GB are made")
    made.add_argument("--steps", type=int, default=steps)
    made.add_argument("--blocks", type=int, default=40)
    made.add_argument("--latent", type=int, nargs=3, default=WAN_480P, metavar=("T", "H", "W"))
    made.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu: a small model, to see that the script runs")
    return made


def attention(made: argparse.ArgumentParser) -> None:
    """The attention of the pack's variants; what has a word for its own keeps that."""
    made.add_argument("--attention", default="comfyui", help="kernel of the pack's variants, `auto` as the nodes have it; ComfyUI's own if left out")


def commit(given: str) -> str:
    """A commit's hash, git's if none is given. A result without one is of no use."""
    found = given
    if not found:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        found = done.stdout.strip()
    if not re.fullmatch(r"[0-9a-f]{7,40}", found):
        raise argparse.ArgumentTypeError(f"{given!r} is no commit" if given else "git knows none here, so it has to be given")
    return found


def names(known: Collection[str], separator: str = ";") -> Callable[[str], list[str]]:
    """Reads a list of known names; the separator is one that they do not have in them."""

    def read(text: str) -> list[str]:
        found = [name.strip() for name in text.split(separator)]
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {separator.join(unknown)}; there are {f'{separator} '.join(known)}")
        return found

    return read
