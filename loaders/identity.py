"""What a checkpoint is, told from its headers alone."""

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ..errors import LightQuantError
from .checkpoint import without_prefix
from .components import component_of
from .files import Header
from .scaled import stored_format
from .storage import headers, paths_of


class Identity(NamedTuple):
    """What a file holds: the component's name, and the format of its 8-bit weights or None if they are float."""

    component: str
    format: str | None


def identify(tensors: Mapping[str, Header]) -> Identity | None:
    """What these tensors are, from their headers; None if they are no component that the pack knows."""
    bare = without_prefix(tensors)
    component = component_of(bare)
    return component and Identity(component.name, stored_format(bare))


@lru_cache(maxsize=4096)
def _identify_path(path: str, stamp: tuple[tuple[int, float], ...]) -> Identity | None:
    try:
        return identify(headers(path))
    except (LightQuantError, OSError):
        return None  # a damaged, foreign or locked file is no candidate; naming it in the loader tells why


def identify_path(path: str) -> Identity | None:
    """What the file or folder at path holds, looked at again only after it changed; None if it is no component, or can't be read."""
    try:
        stamp = tuple((os.path.getsize(part), os.path.getmtime(part)) for part in paths_of(path))
    except OSError:
        return None
    return _identify_path(path, stamp)
