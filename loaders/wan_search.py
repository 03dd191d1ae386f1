"""Finding a checkpoint in a LightX2V model folder."""

import os

from ..errors import DiscoveryError
from .components import COMPONENTS
from .discover import one_of_each
from .files import SAFETENSORS
from .identity import Identity, identify_path
from .names import expert_of
from .storage import part_kind
from .wan_folder import ENCODER_FILES, ORDER, SIGNS, places_in

DIT = "dit"


def find_in(folder: str, component: str, format_name: str | None, expert: str | None = None) -> str:
    """The component's checkpoint in a model folder: the first by LightX2V's order.

    format_name: the format of its weights, None for float; expert: "high" or "low" for one of a pair.
    Raises DiscoveryError, which lists where it looked and what it found, where there is none, or several in one place.
    """
    title = f"{expert}-noise {COMPONENTS[component].title}" if expert else COMPONENTS[component].title
    wanted = f"LightQuant looked for a {title} {f'stored as {format_name}' if format_name else 'that is not quantized'}"
    others: list[str] = []
    for place in places_in(folder):
        fitting = _dits(place, format_name, expert, others) if component == DIT else _encoders(place, component, format_name, others)
        if len(fitting) > 1:
            names = ", ".join(os.path.basename(path) for path in fitting)
            raise DiscoveryError(f"{wanted} and found {len(fitting)} in {place}: {names}. Name one of them in the configuration.")
        if fitting:
            return fitting[0]
    only = f"; of that kind there is only: {', '.join(others)}" if others else ""
    raise DiscoveryError(
        f"{wanted} in {folder} and, in it, in {', '.join(filter(None, ORDER))}, and found none{only}. "
        "Put it there, or name its path in the configuration."
    )


def _encoders(place: str, component: str, format_name: str | None, others: list[str]) -> list[str]:
    names = set(os.listdir(place))
    others += [os.path.join(os.path.basename(place), name) for name in sorted(names) if name.startswith(SIGNS[component])]
    return [os.path.join(place, name) for name in ENCODER_FILES.get((component, format_name), ()) if name in names][:1]


def _dits(place: str, format_name: str | None, expert: str | None, others: list[str]) -> list[str]:
    """The DiTs of a format in one place; what else is there is added to `others`."""
    fitting = []
    for path in _candidates(place, expert):
        identity = identify_path(path)
        if identity == Identity(DIT, format_name):
            fitting.append(path)
        elif identity and identity.component == DIT:
            others.append(f"{os.path.relpath(path, os.path.dirname(place))} ({identity.format or 'not quantized'})")
    return one_of_each(fitting)


def _candidates(place: str, expert: str | None) -> list[str]:
    """The files and folders of parts in one place that may be the DiT, or the expert: its own folder's, or those that have it in their name."""
    found = _checkpoints(place) if expert is None else []
    for name in sorted(os.listdir(place)):
        path = os.path.join(place, name)
        if os.path.isdir(path) and expert and expert_of(path) == expert:
            found += _checkpoints(path)
        elif expert and path.lower().endswith(SAFETENSORS) and not part_kind(name):
            found.append(path)
    return [path for path in found if expert_of(path) == expert]


def _checkpoints(folder: str) -> list[str]:
    """The single files in a folder, and the folder itself where it holds parts."""
    models = [name for name in sorted(os.listdir(folder)) if name.lower().endswith(SAFETENSORS)]
    whole = [os.path.join(folder, name) for name in models if not part_kind(name)]
    return whole + ([folder] if len(whole) < len(models) else [])
