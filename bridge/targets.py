"""Where a new file of a component goes: in ComfyUI's folder for it, whatever name is asked for."""

import os
import re

import folder_paths

from ..convert.settings import SINGLE
from ..errors import ConvertError
from ..loaders.catalogue import folder_for
from ..loaders.components import COMPONENTS
from ..loaders.files import SAFETENSORS

_ENDS = (*SAFETENSORS, ".pth")

_REFUSED = re.compile(r'[\x00-\x1f<>:"|?*]')
"""What no file's name has on Windows, or on any system; it may be on a disk that both see."""

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names that are no files on Windows, whatever stands behind their first dot."""


def target_path(component: str, filename: str, layout: str) -> str:
    """The path of a new file (for the layouts with several, of a folder) of that name, which may have folders before it.

    Raises ConvertError for a name that is none, or that leads out of ComfyUI's folders for the component, by a link too.
    """
    kind = COMPONENTS[component].folder
    parts = re.split(r"[\\/]", filename.strip())
    if not all(map(_is_name, parts)):
        raise ConvertError(f"{filename!r} is no name for a file in ComfyUI's {kind}. Take one such as wan/my_model.")
    path = os.path.join(folder_for(folder_paths.get_folder_paths(kind), folder_paths.models_dir), *parts)
    if layout == SINGLE and not path.lower().endswith(_ENDS):
        path += SAFETENSORS[0]
    if not is_inside(component, path):
        raise ConvertError(
            f"{filename!r} leads out of ComfyUI's {kind}, by a link to {os.path.realpath(path)}. "
            "Take a folder that lies there, or add the linked one to extra_model_paths.yaml."
        )
    return path


def is_inside(component: str, path: str) -> bool:
    """Whether a path lies in one of ComfyUI's folders for the component, links followed."""
    real = os.path.normcase(os.path.realpath(path))
    roots = folder_paths.get_folder_paths(COMPONENTS[component].folder)
    return any(real.startswith(os.path.join(os.path.normcase(os.path.realpath(root)), "")) for root in roots)


def target_name(component: str, path: str) -> str:
    """What a target is called in ComfyUI's folder for the component."""
    roots = [root for root in folder_paths.get_folder_paths(COMPONENTS[component].folder) if path.startswith(os.path.join(root, ""))]
    return os.path.relpath(path, max(roots, key=len)) if roots else os.path.basename(path)


def _is_name(part: str) -> bool:
    return bool(part.strip(" .")) and not _REFUSED.search(part) and part.split(".")[0].strip().lower() not in _DEVICES
