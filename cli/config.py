"""`lightquant config FILE`: what a LightX2V configuration describes, and what becomes of each of its keys."""

import argparse
import json
import os

from ..errors import ConfigError
from ..loaders import config
from ..loaders.config_plan import Places, locate
from ..loaders.config_text import as_json, describe
from .output import say, tell

HELP = "say which models a LightX2V configuration describes, where they lie, and what becomes of each of its keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a .json of LightX2V's; comments are allowed")
    parser.add_argument("--model-path", required=True, metavar="DIR", help="LightX2V's model folder")
    parser.add_argument("--task", required=True, choices=config.TASKS, help="what LightX2V would be told to do")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    if not os.path.isdir(options.model_path):
        raise ConfigError(f"there is no folder {options.model_path}. Give LightX2V's model folder with --model-path.")
    folder = os.path.abspath(options.model_path)
    configuration = config.read(options.file, options.task, folder)
    plan = locate(configuration, Places(folder, lambda path: True, lambda kind, name: _named(folder, name)))
    if options.json:
        print(json.dumps(as_json(plan), indent=1, ensure_ascii=False))
    else:
        say(describe(plan))
    for refusal in configuration.refused:
        tell(f"lightquant: {refusal}")
    return 1 if configuration.refused else 0


def _named(folder: str, name: str) -> list[str]:
    """The files and folders of that name anywhere in the model folder."""
    return [os.path.join(place, name) for place, folders, files in os.walk(folder) if name in files or name in folders]
