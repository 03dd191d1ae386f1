"""Which configurations, model folders and files a graph may name: nothing outside ComfyUI's model folders and its input folder."""

import os
from collections.abc import Iterator

import folder_paths

from ..errors import ConfigError, LightQuantError
from ..loaders.components import COMPONENTS
from ..loaders.config_plan import Places
from ..loaders.wan_folder import EXPERT_FOLDERS, ORDER, looks_like_one
from . import folders

LORA = "lora"
_NOT_MODELS = ("custom_nodes", "datasets")
"""Folder types of ComfyUI's that hold no models: the first holds programs and their settings."""

_NO_CONFIGURATIONS = ("config.json", ".index.json")
_INNER = {*filter(None, ORDER), *EXPERT_FOLDERS.values(), "google"}
"""Folders inside a model folder that are none of their own."""


def config_names() -> list[str]:
    """The .json files in ComfyUI's input folder and in models/lightx2v that may be configurations."""
    return sorted(_configs())


def folder_names() -> list[str]:
    """The folders among ComfyUI's diffusion models and in models/lightx2v that look like LightX2V's model folders."""
    return sorted(_folders())


def config_path(name: str) -> str:
    """The path behind a name from config_names; any other name is refused."""
    return _listed(name, _configs(), f"LightQuant found no configuration {name} in ComfyUI's input folder")


def folder_path(name: str) -> str:
    """The path behind a name from folder_names; any other name is refused."""
    return _listed(name, _folders(), f"LightQuant found no model folder {name} among ComfyUI's diffusion models")


def _listed(name: str, paths: dict[str, str], not_found: str) -> str:
    if name not in paths:
        raise ConfigError(f"{not_found} or in models/{folders.LIGHTX2V}. Put it there and refresh the list (R), or pick another one.")
    return paths[name]


def may_read(path: str) -> bool:
    """Whether an absolute path lies in one of ComfyUI's model folders or its input folder; links in them are their owner's and trusted."""
    path = os.path.normcase(os.path.abspath(path))
    return any(path.startswith(os.path.join(os.path.normcase(os.path.abspath(root)), "")) for root in _roots())


def places(folder: str) -> Places:
    """Where the files of a configuration may lie, for a model folder or ""."""
    return Places(folder, may_read, lambda kind, name: _named(folder, kind, name), _search)


def _roots() -> list[str]:
    types = folder_paths.folder_names_and_paths.items()
    models = [root for kind, (roots, *_) in types if kind not in _NOT_MODELS for root in roots]
    return [*models, folder_paths.models_dir, folder_paths.get_input_directory()]


def _search(component: str, format_name: str, expert: str | None) -> str:
    return folders.checkpoint_path(component, None, [format_name], expert)


def _named(folder: str, kind: str, name: str) -> list[str]:
    """The files, and folders of parts, of that name among ComfyUI's of the kind and in the model folder; each once."""
    if kind == LORA:
        found = [folder_paths.get_full_path("loras", each) for each in folder_paths.get_filename_list("loras") if os.path.basename(each) == name]
    else:
        found = [_existing(kind, each) for each in folders.checkpoint_names(kind) if os.path.basename(each) == name]
    if folder:
        found += [os.path.join(place, name) for place, names, files in _walk(folder) if name in names or name in files]
    return list({os.path.realpath(path): path for path in found if path}.values())


def _existing(component: str, name: str) -> str | None:
    try:
        return folders.full_path(component, name)
    except LightQuantError:
        return None  # a link that leads nowhere


def _configs() -> dict[str, str]:
    found = {}
    for title, root in {"input": folder_paths.get_input_directory(), folders.LIGHTX2V: _lightx2v()}.items():
        for place, _, files in _walk(root):
            for file in files:
                if file.lower().endswith(".json") and not file.lower().endswith(_NO_CONFIGURATIONS):
                    path = os.path.join(place, file)
                    found[_name(title, path, root)] = path
    return found


def _folders() -> dict[str, str]:
    found: dict[str, str] = {}
    kind = COMPONENTS["dit"].folder
    for title, root in [*((kind, root) for root in folder_paths.get_folder_paths(kind)), (folders.LIGHTX2V, _lightx2v())]:
        for place, names, files in _walk(root):
            if place != root and os.path.basename(place) not in _INNER and looks_like_one([*names, *files]):
                found.setdefault(_name(title, place, root), place)
    return found


def _lightx2v() -> str:
    return os.path.join(folder_paths.models_dir, folders.LIGHTX2V)


def _name(title: str, path: str, root: str) -> str:
    """The same on every system, so that a graph made on one opens on another."""
    return f"{title}/{os.path.relpath(path, root).replace(os.sep, '/')}"


def _walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """os.walk through links too, each folder once, none that is hidden."""
    seen: set[str] = set()
    for place, names, files in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            names[:] = []
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield place, names, sorted(files)
