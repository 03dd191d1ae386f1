"""The pack's settings as ComfyUI's settings dialog keeps them: in the user's comfy.settings.json, under the ids of web/js/settings.js."""

import json
import os

import folder_paths
from comfy.cli_args import args

ALLOW_DOWNLOAD = "LightQuant.AllowDownload"

_FILE = "comfy.settings.json"


def is_on(setting: str) -> bool:
    """Whether the user has turned a setting on. Off where it is unset or unreadable, and with --multi-user, as a node isn't told whose it is."""
    if args.multi_user:
        return False
    try:
        with open(os.path.join(folder_paths.get_user_directory(), "default", _FILE), encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get(setting) is True
