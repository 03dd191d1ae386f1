"""Finding the checkpoint when the user names none: exactly one candidate wins."""

import os
from collections.abc import Mapping, Sequence

from ..errors import DiscoveryError
from .components import COMPONENTS
from .files import PICKLED, SAFETENSORS
from .identity import identify_path
from .names import expert_of
from .wan_folder import ENCODER_FOLDERS, HIGH, LOW, SIGNS

SPLIT_FOLDER = "_split"
"""How LightX2V names the folder of a file's parts."""


def find(component: str, formats: Sequence[str], paths: Sequence[str], folders: Sequence[str], expert: str | None = None) -> str:
    """The one checkpoint among `paths` that holds the component in one of the formats.

    folders: where the paths come from, for the error; expert: "high" or "low", if it is one of a pair that is looked for.
    Raises DiscoveryError, which lists what was looked for, where, and what was found, unless there is exactly one.
    """
    models = [path for path in paths if os.path.isdir(path) or path.lower().endswith(SAFETENSORS + PICKLED)]
    known = {path: identity for path in models if (identity := identify_path(path)) and identity.component == component}
    same = {path: identity for path, identity in known.items() if expert in (None, expert_of(path))}
    fitting = one_of_each(component, {path: identity.format for path, identity in same.items() if identity.is_read_as(formats)})
    if len(fitting) == 1:
        return fitting[0]
    title = f"{expert}-noise {COMPONENTS[component].title}" if expert else COMPONENTS[component].title
    wanted = f"LightQuant looked for a {title} stored as {' or '.join(formats)} in {', '.join(folders) or 'no folder at all'}"
    if fitting:
        is_pair = not expert and {expert_of(path) for path in fitting} == {HIGH, LOW}
        then = "Load a high-noise and a low-noise expert with the pair's node." if is_pair else "Pick one of them as the checkpoint."
        raise DiscoveryError(f"{wanted} and found {len(fitting)}: {', '.join(sorted(fitting))}. {then}")
    others = [f"{os.path.basename(path)} ({identity.format or 'not quantized'})" for path, identity in same.items()]
    seen = f"of that model there is only: {', '.join(sorted(others))}" if others else f"none of the {len(models)} model files there is that model"
    raise DiscoveryError(f"{wanted} and found none; {seen}. Put the file into one of these folders and refresh the list (R), or pick a checkpoint.")


def one_of_each(component: str, formats: Mapping[str, str | None]) -> list[str]:
    """The paths without further copies of the same model, which are the same to load.

    formats: path -> the format of what lies there; files of different formats are never copies.
    A `_split` folder beside the file it was split from counts as that file. Of an encoder's file in several of a model folder's subfolders, its name
    beginning as published ones do, the one counts that LightX2V would take. DiTs of one name may be different models, so all of them count.
    """
    files = {(os.path.splitext(path)[0], format_name) for path, format_name in formats.items()}
    best: dict[tuple[str | None, ...], str] = {}
    for path, format_name in formats.items():
        if path.endswith(SPLIT_FOLDER) and (path.removesuffix(SPLIT_FOLDER), format_name) in files:
            continue
        folder, name = os.path.split(path)
        if name.startswith(SIGNS.get(component, ())) and os.path.basename(folder) in ENCODER_FOLDERS:
            folder = os.path.dirname(folder)
        key = (folder, name, format_name)
        if key not in best or _rank(path) < _rank(best[key]):
            best[key] = path
    return list(best.values())


def _rank(path: str) -> int:
    subfolder = os.path.basename(os.path.dirname(path))
    return ENCODER_FOLDERS.index(subfolder) if subfolder in ENCODER_FOLDERS else len(ENCODER_FOLDERS)
