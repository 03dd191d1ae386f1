"""The demo's arguments. Standard library only: demo.py reads them before anything is set up, demo_run.py once more in the environment."""

from __future__ import annotations

import argparse
from pathlib import Path

from environment import REPOSITORY, add_arguments

OUTPUT = REPOSITORY / "demo-output"
WHAT = "Run LightQuant in a real ComfyUI server, each scheme beside the float model."


def make_parser() -> argparse.ArgumentParser:
    """The parser of demo.py, the environment's own arguments included."""
    parser = argparse.ArgumentParser(prog="demo.py", allow_abbrev=False, description=WHAT)
    add_arguments(parser)
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="where the results and the log go (default: demo-output)")
    parser.add_argument("--schemes", type=_names, metavar="A,B", help="the schemes to run (default: all that run on this machine)")
    parser.add_argument("--keep", action="store_true", help="leave the server up at the end and print its address; Ctrl-C ends it")
    parser.add_argument("--port", type=int, help="the server's port (default: any free one)")

    size = parser.add_argument_group("size of the video")
    size.add_argument("--width", type=_multiple(16), default=256, help="in pixels, a multiple of 16 (default: 256)")
    size.add_argument("--height", type=_multiple(16), default=256, help="in pixels, a multiple of 16 (default: 256)")
    size.add_argument("--frames", type=_frames, default=17, help="4n + 1 (default: 17)")
    size.add_argument("--steps", type=_steps, default=6, help="sampling steps, 2 or more (default: 6)")

    files = parser.add_argument_group("real checkpoints", "Whichever is not named is a small model with random weights, made by the demo.")
    files.add_argument("--dit", type=_file, metavar="FILE", help="a quantized Wan2.1 or Wan2.2 A14B diffusion model, t2v or i2v")
    files.add_argument("--float-dit", type=_file, metavar="FILE", help="the float model to compare --dit with; without it no errors are shown")
    files.add_argument("--t5", type=_file, metavar="FILE", help="a quantized umt5 text encoder")
    files.add_argument("--clip", type=_file, metavar="FILE", help="a quantized CLIP vision encoder")
    files.add_argument("--tokenizer", type=_file, metavar="FILE", help="umt5's spiece.model (default: the one that the T5 loader finds for --t5)")
    return parser


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments; ends the process with code 2 and a usage line where they make no sense."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.float_dit and not options.dit:
        parser.error("--float-dit is what --dit is compared with: name --dit too")
    if options.tokenizer and not options.t5:
        parser.error("--tokenizer belongs to a real text encoder: name --t5 too")
    options.output = options.output.absolute()
    return options


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _file(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return path


def _multiple(unit: int):
    def number(text: str) -> int:
        value = _number(text)
        if value < unit or value % unit:
            raise argparse.ArgumentTypeError(f"{text} is not a multiple of {unit}")
        return value

    return number


def _frames(text: str) -> int:
    value = _number(text)
    if value < 1 or value % 4 != 1:
        raise argparse.ArgumentTypeError(f"{text} is not 4n + 1; Wan's videos have 1, 5, 9, ... frames")
    return value


def _steps(text: str) -> int:
    value = _number(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{text} steps are too few: the time of a step is taken between two of them")
    return value


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from None
