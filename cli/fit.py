"""`lightquant fit`: which scheme and offload setting fit a card, and how fast they are."""

import argparse
import json

from ..errors import FitError
from ..reports.fit import Wish, fit
from ..reports.fit.cards import CARDS
from ..reports.fit.models import MODELS
from ..reports.fit.runs_on import ASKABLE
from ..reports.fit.wish import DISK_GB_S, RESERVE_GIB
from .output import say, tell

HELP = "say which scheme, format and offload setting fit a card, and how fast a step will be, from measured figures"

_USAGE = 2
"""The exit status of a question that can't be answered, as argparse has it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vram", type=float, metavar="GIB", help="of the card; left out: what the card of --gpu has")
    parser.add_argument("--ram", type=float, required=True, metavar="GIB", help="of the machine")
    parser.add_argument("--frames", type=int, default=Wish.frames, help="of the video (default: %(default)s)")
    parser.add_argument("--size", type=_size, default=(Wish.width, Wish.height), metavar="WxH", help="of the video (default: 832x480)")
    parser.add_argument("--model", choices=[*MODELS], default=Wish.model, help="default: %(default)s")
    parser.add_argument("--gpu", metavar="NAME", help=f"the card, for an estimate of its speed: {', '.join(CARDS)}")
    parser.add_argument("--scheme", choices=ASKABLE, help="only this one; bf16 is the float model")
    parser.add_argument("--disk", type=float, default=DISK_GB_S, metavar="GB/S", help="what the disk reads, if RAM is short (default: %(default)s)")
    parser.add_argument(
        "--reserve", type=float, default=RESERVE_GIB, metavar="GIB", help="VRAM of the CUDA context and other programs (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with all settings that fit")


def run(options: argparse.Namespace) -> int:
    width, height = options.size
    try:
        wish = Wish(
            options.vram, options.ram, options.frames, width, height, options.model, options.gpu, options.scheme, options.disk, options.reserve
        )
    except FitError as problem:
        tell(f"lightquant fit: {problem}")
        return _USAGE
    answer = fit(wish)
    if options.json:
        print(json.dumps(answer.as_dict(), indent=1))
    else:
        say(answer.text())
    return 0 if answer.fits else 1


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; one such as 832x480 is needed")
    return int(width), int(height)
