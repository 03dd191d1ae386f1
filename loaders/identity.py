"""What a checkpoint is, told from its headers alone."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import LightQuantError
from ..formats import mixture
from .checkpoint import without_prefix
from .components import component_of
from .files import Header
from .scaled import stored_formats
from .storage import headers, paths_of


class Identity(NamedTuple):
    """What a file holds: the component's name, and the formats of its quantized weights, several in a mixed file, none in a float one."""

    component: str
    formats: tuple[str, ...]

    @property
    def format(self) -> str | None:
        """The formats in words; None for a float file."""
        return mixture(self.formats)

    def is_read_as(self, formats: Sequence[str]) -> bool:
        """Whether some of its layers have one of these formats: a scheme then fits the file, and what it does not read runs as auto has it."""
        return any(name in formats for name in self.formats)


def identify(tensors: Mapping[str, Header]) -> Identity | None:
    """What these tensors are, from their headers; None if they are no component that the pack knows."""
    bare = without_prefix(tensors)
    component = component_of(bare)
    return component and Identity(component.name, stored_formats(bare))


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
