"""Whether all blocks of a model are there: ComfyUI would build a shorter model from what it finds, and sample noise with it."""

import json
import os
import re
from collections.abc import Iterable

from .storage import CHUNKED, SPLIT, Storage

FULL_DEPTH = {1536: 30, 3072: 30, 5120: 40}
"""Width of a published Wan DiT -> its number of blocks."""

_NUMBERED = re.compile(r"(.*?\b(?:vace_blocks|blocks|block|layers))\.(\d+)\.")


def absent_block(keys: Iterable[str]) -> str | None:
    """The first block that is missing between others of the same list, such as "blocks.7"; None if every list is complete up to its last."""
    lists: dict[str, set[int]] = {}
    for key in keys:
        found = _NUMBERED.match(key)
        if found:
            lists.setdefault(found[1], set()).add(int(found[2]))
    for name, numbers in sorted(lists.items()):
        for number in range(max(numbers)):
            if number not in numbers:
                return f"{name}.{number}"
    return None


def promised_depth(storage: Storage, width: int) -> int | None:
    """How many blocks a folder's model must have, where its own parts can't tell: without an index, a missing last part shows nowhere.

    Taken from LightX2V's config.json beside the parts, else from the published models of this width.
    """
    if storage.kind not in (SPLIT, CHUNKED) or storage.index:
        return None
    try:
        with open(os.path.join(storage.path, "config.json"), encoding="utf-8") as file:
            return int(json.load(file)["num_layers"])
    except (OSError, ValueError, KeyError, TypeError):
        return FULL_DEPTH.get(width)
