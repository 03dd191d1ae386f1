"""`lightquant report PATH [PATH] --against OTHER`: what quantizing cost, layer by layer."""

import argparse
import os

from ..errors import ReportError
from ..reports.error_report.compare import compare
from ..reports.error_report.files import paths_for, save
from ..reports.error_report.report import to_json
from ..reports.error_report.text import to_text
from .device import add_device, device_of
from .output import LANGUAGE, say, tell
from .progress import Bar

HELP = "say what quantizing cost: the error of each layer against the float model or another checkpoint, as text, JSON and a page with plots"

_SIDES = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a quantized file or folder; two are shown beside each other")
    parser.add_argument("--against", required=True, metavar="OTHER", help="what they are compared with: the float checkpoint, or a quantized one")
    parser.add_argument("--out", metavar="FOLDER_OR_FILE", help="also write it: .html, .json, .txt, .png, or into a folder the first two")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the summary")
    parser.add_argument("--random", action="store_true", help="label the report: the weights are random, even if no file says so")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    if len(options.paths) > _SIDES:
        raise ReportError(f"{len(options.paths)} checkpoints are given, where one or two can be shown beside each other.")
    paths = paths_for(options.out, report_name(options.paths[0])) if options.out else []
    bar = Bar()
    try:
        report = compare(options.paths, options.against, device_of(options), options.random, lambda done, total: bar("comparing", done, total))
    except KeyboardInterrupt:
        tell("lightquant: interrupted.")
        return 130
    finally:
        bar.close()
    if options.json:
        print(to_json(report))
    else:
        say(to_text(report))
    save(report, paths, LANGUAGE.get())
    for path in paths:
        tell(f"wrote {path}")
    return 0


def report_name(path: str) -> str:
    """What a checkpoint's report is called in a folder, without its end."""
    stem = os.path.splitext(os.path.basename(os.path.normpath(path)))[0]
    return f"{stem}_report"
