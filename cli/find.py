"""`lightquant find`: what the loaders' "find it" would take, from the shell."""

import argparse
import json
import os
from collections.abc import Iterable

from ..errors import DiscoveryError
from ..loaders.components import COMPONENTS
from ..loaders.discover import find
from ..loaders.files import PICKLED, SAFETENSORS
from ..loaders.identity import identify_path
from ..loaders.names import expert_of, models_for
from ..loaders.storage import fold_parts
from ..loaders.wan_folder import HIGH, LIGHTX2V, LOW
from ..schemes import AUTO, SCHEMES, formats_of
from .comfyui import add_comfyui, model_folders
from .output import say

HELP = "list the checkpoints in ComfyUI's folders, and say which one each loader would take by itself"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_comfyui(parser)
    parser.add_argument("--folder", action="append", metavar="DIR", help="look in this folder instead of ComfyUI's; repeatable")
    parser.add_argument("--scheme", default=AUTO, choices=[AUTO, *SCHEMES], help="look for what this scheme reads (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    folders = {name: options.folder for name in COMPONENTS} if options.folder else comfyui_folders(options.comfyui)
    found = {name: describe(name, folders[name], formats_of(options.scheme)) for name in COMPONENTS}
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    for name, about in found.items():
        say(f"{COMPONENTS[name].title}, in {', '.join(about['folders']) or 'no folder'}:")
        for each in about["checkpoints"]:
            expert = f", {each['expert']}-noise expert" if each["expert"] else ""
            say(f"  {each['path']}  {each['format'] or 'not quantized'}{expert}")
        for what, answer in about["taken"].items():
            say(f"  {what}: {answer}")
    return 0


def describe(component: str, folders: list[str], formats: list[str]) -> dict:
    """The component's checkpoints in the folders, and what "find it" answers: a path, or why there is none."""
    folders = [folder for folder in dict.fromkeys(folders) if os.path.isdir(folder)]
    paths = sorted({path for folder in folders for path in checkpoints_in(folder, component)})
    known = {path: identity for path in paths if (identity := identify_path(path)) and identity.component == component}
    checkpoints = [{"path": path, "format": identity.format, "expert": expert_of(path)} for path, identity in known.items()]
    taken = {"find it": _answer(component, formats, paths, folders, None)}
    if any(each["expert"] for each in checkpoints):
        taken |= {f"find it, {expert}-noise": _answer(component, formats, paths, folders, expert) for expert in (HIGH, LOW)}
    return {"folders": folders, "checkpoints": checkpoints, "taken": taken}


def checkpoints_in(folder: str, component: str) -> Iterable[str]:
    """Files that may be the component's, and folders that hold its parts, anywhere under a folder: what the node's dropdown lists."""
    names = []
    for place, _, files in os.walk(folder, followlinks=True):
        names += [os.path.relpath(os.path.join(place, name), folder) for name in files if name.lower().endswith(SAFETENSORS + PICKLED)]
    if os.path.basename(os.path.abspath(folder)) == LIGHTX2V:
        names = models_for(component, names)
    return (os.path.normpath(os.path.join(folder, name)) for name in fold_parts(names))


def comfyui_folders(comfyui: str | None) -> dict[str, list[str]]:
    """Component -> where ComfyUI keeps its files. Raises DiscoveryError where there is no ComfyUI."""
    folders, models = model_folders(comfyui, (component.folder for component in COMPONENTS.values()), "--folder")
    return {name: [*folders[component.folder], os.path.join(models, LIGHTX2V)] for name, component in COMPONENTS.items()}


def _answer(component: str, formats: list[str], paths: list[str], folders: list[str], expert: str | None) -> str:
    try:
        return find(component, formats, paths, folders, expert)
    except DiscoveryError as problem:
        return str(problem)
