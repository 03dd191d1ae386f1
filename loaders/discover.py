"""Finding the checkpoint when the user names none: exactly one candidate wins."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch

from ..errors import DiscoveryError, LightQuantError
from ..formats import FORMATS
from .components import COMPONENTS, component_of
from .files import PICKLED, SAFETENSORS, dtypes_in


class Identity(NamedTuple):
    """What a file holds: the component's name, and the format of its 8-bit weights or None if they are float."""

    component: str
    format: str | None


def identify(dtypes: Mapping[str, torch.dtype]) -> Identity | None:
    """What these tensors are, from their keys and dtypes; None if they are no component that the pack knows."""
    bare = {key.removeprefix("model.").removeprefix("diffusion_model."): dtype for key, dtype in dtypes.items()}
    component = component_of(bare)
    if component is None:
        return None
    scaled = {bare.get(key.removesuffix("_scale")) for key in bare if key.endswith(".weight_scale")}
    formats = [format_.name for format_ in FORMATS.values() if scaled == {format_.dtype}]
    return Identity(component.name, formats[0] if formats else None)


@lru_cache(maxsize=4096)
def _identify_file(path: str, size: int, modified: float) -> Identity | None:
    try:
        return identify(dtypes_in(path))
    except (LightQuantError, OSError):
        return None  # a damaged, foreign or locked file is no candidate; naming it in the loader tells why


def find(component: str, formats: Sequence[str], files: Sequence[str], folders: Sequence[str]) -> str:
    """The one file among `files` that holds the component in one of the formats.

    folders: where the files come from, for the error.
    Raises DiscoveryError, which lists what was looked for, where, and what was found, unless there is exactly one.
    """
    models = [path for path in files if path.lower().endswith(SAFETENSORS + PICKLED)]
    known = {path: _identify_file(path, os.path.getsize(path), os.path.getmtime(path)) for path in models}
    same = {path: identity.format for path, identity in known.items() if identity and identity.component == component}
    fitting = [path for path, format_name in same.items() if format_name in formats]
    if len(fitting) == 1:
        return fitting[0]
    title = COMPONENTS[component].title
    wanted = f"LightQuant looked for a {title} stored as {' or '.join(formats)} in {', '.join(folders) or 'no folder at all'}"
    if fitting:
        raise DiscoveryError(f"{wanted} and found {len(fitting)}: {', '.join(sorted(fitting))}. Pick one of them as the checkpoint.")
    others = [f"{os.path.basename(path)} ({format_name or 'not quantized'})" for path, format_name in same.items()]
    seen = f"of that model there is only: {', '.join(sorted(others))}" if others else f"none of the {len(models)} model files there is that model"
    raise DiscoveryError(f"{wanted} and found none; {seen}. Put the file into one of these folders and refresh the list (R), or pick a checkpoint.")
