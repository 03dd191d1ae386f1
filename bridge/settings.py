"""The pack's settings as ComfyUI's settings dialog keeps them: in the user's comfy.settings.json, under the ids of web/js/settings.js."""

import json
import logging
import os
import re
from functools import lru_cache

import folder_paths
from comfy.cli_args import args

from ..formats import FORMATS
from ..schemes import called

ALLOW_DOWNLOAD, PREFERRED_KERNELS = "LightQuant.AllowDownload", "LightQuant.PreferredKernels"

_LOCALES = ("Comfy.Locale", "LightQuant.Locale")
"""ComfyUI's own, which it keeps once the user has picked a language; and what web/js/language.js has seen the page in otherwise."""

_FILE = "comfy.settings.json"

log = logging.getLogger(__name__)


def has_one_user() -> bool:
    """Whether ComfyUI keeps one user's settings: with --multi-user neither a node nor a route is told whose it is."""
    return not args.multi_user


def is_on(setting: str) -> bool:
    """Whether the user has turned a setting on; off where it is unset."""
    return _value(setting) is True


def locale() -> str:
    """What ComfyUI calls the language of its page: en, zh, zh-TW; "" where nothing says it."""
    return next((found for found in map(_value, _LOCALES) if found and isinstance(found, str)), "")


def preferred_kernels() -> tuple[str, ...]:
    """The schemes and packages that `auto` is to try first; none where it is unset."""
    text = _value(PREFERRED_KERNELS)
    return _known_names(text) if isinstance(text, str) else ()


def _value(setting: str) -> object:
    """What the user has set; None where nothing is set, where it is unreadable, and where there may be several users."""
    if not has_one_user():
        return None
    try:
        with open(os.path.join(folder_paths.get_user_directory(), "default", _FILE), encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, ValueError):
        return None
    return settings.get(setting) if isinstance(settings, dict) else None


@lru_cache(maxsize=8)
def _known_names(text: str) -> tuple[str, ...]:
    """The names in a list with commas that mean a kernel; the others are named in the log, once for each text."""
    names = tuple(filter(None, re.split(r"[\s,;]+", text.lower())))
    known = tuple(name for name in names if any(called([name], format_name) for format_name in FORMATS))
    if known != names:
        unknown = ", ".join(name for name in names if name not in known)
        log.warning("LightQuant: no scheme or kernel package is called %s, which the setting Preferred kernels names; it is passed over.", unknown)
    return known
