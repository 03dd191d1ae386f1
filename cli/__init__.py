"""The command `lightquant`: what the nodes know, from the shell."""

import argparse
import os
import sys
from collections.abc import Sequence

from ..errors import LightQuantError
from ..texts import LANGUAGES
from . import config, convert, doctor, download, find, fit, inspect_file, plan, report, schemes
from .output import LANGUAGE, language_of_shell, tell

COMMANDS = {
    "schemes": schemes, "doctor": doctor, "inspect": inspect_file, "find": find, "config": config, "plan": plan, "convert": convert,
    "report": report, "download": download, "fit": fit,
}  # fmt: skip
"""Each module has HELP, add_arguments(parser) and run(options) -> exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors of the pack, and what the system forbids, are printed without a traceback and give 1."""
    parser = argparse.ArgumentParser(prog="lightquant", description="Quantized Wan models for ComfyUI: schemes, kernels and checkpoints.")
    parser.add_argument("--lang", choices=LANGUAGES, help="the language of what it says (default: that of LC_ALL, LC_MESSAGES or LANG)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=module.HELP, description=module.HELP))
    options = parser.parse_args(arguments)
    before = LANGUAGE.set(options.lang or language_of_shell())
    try:
        return COMMANDS[options.command].run(options)
    except LightQuantError as problem:
        tell(f"lightquant: {problem}")
        return 1
    except PermissionError as problem:
        tell(f"lightquant: {problem.filename} could not be read or written: {problem.strerror}. See that you may.")
        return 1
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough; what Python would still flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        LANGUAGE.reset(before)
