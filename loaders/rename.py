"""Renaming keys by a table of names, in either direction."""

import re
from collections.abc import Iterable, Mapping, Sequence

from ..errors import CheckpointError

Table = Sequence[tuple[str, str]]
"""(a layer's name in a file, ComfyUI's name for it), # for a block's number; the parameter's own suffix (.weight, .bias, .weight_scale) is kept."""

_SUFFIX = r"(\.(?:weight|bias|weight_scale))"
_NUMBER = "#"


def inverse(table: Table) -> Table:
    """The way back."""
    return [(new, old) for old, new in table]


def rename_keys(keys: Iterable[str], table: Table) -> Mapping[str, str]:
    """Old key -> new key. Raises CheckpointError for keys that no row of the table knows."""
    rules = [(re.compile(re.escape(old).replace(re.escape(_NUMBER), r"(\d+)") + _SUFFIX), new) for old, new in table]
    renamed: dict[str, str] = {}
    unknown = []
    for key in keys:
        for pattern, new in rules:
            found = pattern.fullmatch(key)
            if found:
                renamed[key] = new.replace(_NUMBER, found[1]) + found.groups()[-1]
                break
        else:
            unknown.append(key)
    if unknown:
        raise CheckpointError(f"it has {len(unknown)} keys that no such model has: {', '.join(sorted(unknown)[:5])}")
    return renamed
