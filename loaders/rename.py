"""Renaming keys by a table of patterns."""

import re
from collections.abc import Iterable, Mapping, Sequence

from ..errors import CheckpointError

Table = Sequence[tuple[str, str]]
"""(pattern of a whole layer's name, its new name): the parameter's own suffix (.weight, .bias, .weight_scale) is kept."""

SUFFIX = r"(\.(?:weight|bias|weight_scale))"


def rename_keys(keys: Iterable[str], table: Table) -> Mapping[str, str]:
    """Old key -> new key. Raises CheckpointError for keys that no row of the table knows, or that two rows lead to the same place."""
    rules = [(re.compile(pattern + SUFFIX), target) for pattern, target in table]
    renamed: dict[str, str] = {}
    unknown = []
    for key in keys:
        for pattern, target in rules:
            found = pattern.fullmatch(key)
            if found:
                renamed[key] = found.expand(target) + found.groups()[-1]
                break
        else:
            unknown.append(key)
    if unknown:
        raise CheckpointError(f"it has {len(unknown)} keys that no such model has: {', '.join(sorted(unknown)[:5])}")
    return renamed
