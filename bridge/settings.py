"""The pack's settings as ComfyUI's settings dialog keeps them: in the user's comfy.settings.json, under the ids of web/js/settings.js."""

import json
import os

import folder_paths
from comfy.cli_args import args

ALLOW_DOWNLOAD = "LightQuant.AllowDownload"

_LOCALES = ("Comfy.Locale", "LightQuant.Locale")
"""ComfyUI's own, which it keeps once the user has picked a language; and what web/js/language.js has seen the page in otherwise."""

_FILE = "comfy.settings.json"


def is_on(setting: str) -> bool:
    """Whether the user has turned a setting on; off where it is unset."""
    return _value(setting) is True


def locale() -> str:
    """What ComfyUI calls the language of its page: en, zh, zh-TW; "" where nothing says it."""
    return next((found for found in map(_value, _LOCALES) if found and isinstance(found, str)), "")


def _value(setting: str) -> object:
    """What the user has set; None where nothing is set, where it is unreadable, and with --multi-user, as a node isn't told whose it is."""
    if args.multi_user:
        return None
    try:
        with open(os.path.join(folder_paths.get_user_directory(), "default", _FILE), encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, ValueError):
        return None
    return settings.get(setting) if isinstance(settings, dict) else None
