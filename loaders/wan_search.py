"""Finding a checkpoint in a LightX2V model folder."""

import os

from ..errors import DiscoveryError
from .components import COMPONENTS
from .discover import one_of_each
from .files import SAFETENSORS
from .identity import identify_path
from .names import expert_of
from .storage import fold_parts
from .wan_folder import ENCODER_FILES, ORDER, SIGNS, places_in

DIT = "dit"


def find_in(folder: str, component: str, format_name: str | None, expert: str | None = None) -> str:
    """The component's checkpoint in a model folder.

    An encoder is the first by LightX2V's order. A DiT is the folder's own, or its experts', as for LightX2V; where there is none, a subfolder's.
    format_name: the format of its weights, None for float; expert: "high" or "low" for one of a pair.
    Raises DiscoveryError, which lists where it looked and what it found, where there is none, or no first among several.
    """
    title = f"{expert}-noise {COMPONENTS[component].title}" if expert else COMPONENTS[component].title
    wanted = f"LightQuant looked for a {title} {f'stored as {format_name}' if format_name else 'that is not quantized'}"
    others: list[str] = []
    fitting = _dits(folder, format_name, expert, others) if component == DIT else _encoders(folder, component, format_name, others)
    if len(fitting) > 1:
        names = ", ".join(os.path.relpath(path, folder) for path in fitting)
        raise DiscoveryError(f"{wanted} and found {len(fitting)} in {folder}: {names}. Name one of them in the configuration.")
    if fitting:
        return fitting[0]
    only = f"; of that kind there is only: {', '.join(others)}" if others else ""
    raise DiscoveryError(
        f"{wanted} in {folder} and, in it, in {', '.join(filter(None, ORDER))}, and found none{only}. "
        "Put it there, or name its path in the configuration."
    )


def _encoders(folder: str, component: str, format_name: str | None, others: list[str]) -> list[str]:
    """The encoder's first file; what other ones were seen on the way is added to `others`."""
    for place in places_in(folder):
        names = set(os.listdir(place))
        fitting = [os.path.join(place, name) for name in ENCODER_FILES.get((component, format_name), ()) if name in names]
        if fitting:
            return fitting[:1]
        others += [os.path.join(os.path.basename(place), name) for name in sorted(names) if name.startswith(SIGNS[component])]
    return []


def _dits(folder: str, format_name: str | None, expert: str | None, others: list[str]) -> list[str]:
    """The folder's own DiTs of a format, else those of all its subfolders; what else is there is added to `others`."""
    places = places_in(folder)
    for group in ([place for place in places if place == folder], [place for place in places if place != folder]):
        fitting: dict[str, str | None] = {}
        for path in (path for place in group for path in _candidates(place)):
            identity = identify_path(path)
            found = expert_of(path)
            if identity is None or identity.component != DIT:
                continue
            if found == expert and (identity.is_read_as([format_name]) if format_name else not identity.formats):
                fitting[path] = identity.format
            else:
                noise = f", {found}-noise expert" if found else ""
                others.append(f"{os.path.relpath(path, os.path.dirname(folder))} ({identity.format or 'not quantized'}{noise})")
        if fitting:
            return one_of_each(DIT, fitting)
    return []


def _candidates(place: str) -> list[str]:
    """The files and folders of parts in one place that may be the DiT or an expert: its own, and those in the experts' folders."""
    experts = [path for name in sorted(os.listdir(place)) if expert_of(name) and os.path.isdir(path := os.path.join(place, name))]
    return [path for folder in (place, *experts) for path in _checkpoints(folder)]


def _checkpoints(folder: str) -> list[str]:
    """The single files in a folder, and the folder itself where it holds parts."""
    models = [name for name in os.listdir(folder) if name.lower().endswith(SAFETENSORS)]
    return [os.path.normpath(os.path.join(folder, name)) for name in sorted(fold_parts(models))]
