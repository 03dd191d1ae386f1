"""Where a ComfyUI keeps its models: the command line knows no ComfyUI, so it asks one."""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable

from ..errors import DiscoveryError, LightQuantError

ASK_COMFYUI = """
import json, os, folder_paths, utils.extra_config
if os.path.isfile("extra_model_paths.yaml"):
    utils.extra_config.load_extra_path_config("extra_model_paths.yaml")
folders = {kind: folder_paths.get_folder_paths(kind) for kind in KINDS}
print("lightquant" + json.dumps([folders, folder_paths.models_dir]))
"""
"""Run in ComfyUI's folder, so that its own code reads extra_model_paths.yaml."""


def add_comfyui(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--comfyui", metavar="DIR", help="ComfyUI's folder (default: $COMFYUI_PATH, or the one whose custom_nodes holds this pack)")


def model_folders(comfyui: str | None, kinds: Iterable[str], instead: str) -> tuple[dict[str, list[str]], str]:
    """Folder type -> ComfyUI's folders of that type, extra_model_paths.yaml included; and its models folder.

    instead: the option that does without a ComfyUI, for the errors. Raises DiscoveryError where there is none.
    """
    place = _place(comfyui)
    if not place or not os.path.isfile(os.path.join(place, "folder_paths.py")):
        raise DiscoveryError(
            f"there is no ComfyUI in {place or 'the folders above this pack'}. Say where it is with --comfyui DIR, or name a folder with {instead}."
        )
    asked = subprocess.run(
        [sys.executable, "-c", f"KINDS = {[*kinds]!r}\n{ASK_COMFYUI}"], cwd=place, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    answer = next((line for line in asked.stdout.splitlines() if line.startswith("lightquant")), None)
    if answer is None:
        why = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LightQuantError(f"the ComfyUI in {place} did not say where its models are ({why}). Use its own Python, or {instead}.")
    folders, models = json.loads(answer.removeprefix("lightquant"))
    return folders, models


def version(comfyui: str | None) -> str:
    """The version of that ComfyUI, or of the one that would be asked; "" where there is none that says it."""
    try:
        with open(os.path.join(_place(comfyui) or "", "comfyui_version.py"), encoding="utf-8") as file:
            said = re.search(r"""^__version__ = ["'](.+)["']""", file.read(), re.MULTILINE)
    except OSError:
        return ""
    return said[1] if said else ""


def _place(comfyui: str | None) -> str | None:
    return comfyui or os.environ.get("COMFYUI_PATH") or _parent_comfyui()


def _parent_comfyui() -> str | None:
    custom_nodes = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.dirname(custom_nodes) if os.path.basename(custom_nodes) == "custom_nodes" else None
