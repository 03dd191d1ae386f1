"""The mark of a checkpoint whose weights are random: its makers write it, conversions carry it on, reports show it. Nothing is guessed."""

from collections.abc import Mapping

from .files import SAFETENSORS, safetensors_header
from .storage import storage_of

KEY, YES = "lightquant.random_weights", "true"
"""In a safetensors file's metadata. A .pth has none: there the user says it."""

MARK = {KEY: YES}


def metadata_of(path: str) -> dict[str, str]:
    """The metadata of a checkpoint's files together; a .pth has none. Raises CheckpointError where one can't be read."""
    found: dict[str, str] = {}
    for file in storage_of(path).files:
        if file.lower().endswith(SAFETENSORS):
            found.update(safetensors_header(file).get("__metadata__") or {})
    return found


def is_marked(metadata: Mapping[str, str]) -> bool:
    """Whether a file's metadata says that its weights are random."""
    return metadata.get(KEY) == YES


def is_marked_random(path: str) -> bool:
    """Whether any of a checkpoint's files says that its weights are random."""
    return is_marked(metadata_of(path))
