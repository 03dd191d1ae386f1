"""Whether all blocks of a model are there: ComfyUI would build a shorter model from what it finds, and sample noise with it."""

import json
import os
import re
from collections.abc import Iterable

from .storage import CONFIG, Storage

FULL_DEPTH = {1536: 30, 3072: 30, 5120: 40}
"""Width of a published Wan DiT -> its number of blocks."""

_NUMBERED = re.compile(r"(.*?\b(?:vace_blocks|blocks|block|layers))\.(\d{1,9})\.")

_MOST = 10_000
"""Blocks that are counted: names are free to have any number, and no list shall grow with it."""


def absent_blocks(keys: Iterable[str]) -> list[str]:
    """The blocks that are missing between others of the same list, such as "blocks.7"; a missing last one shows in no list."""
    lists: dict[str, set[int]] = {}
    for key in keys:
        found = _NUMBERED.match(key)
        if found:
            lists.setdefault(found[1], set()).add(int(found[2]))
    return [f"{name}.{number}" for name, numbers in sorted(lists.items()) for number in range(min(max(numbers), _MOST)) if number not in numbers]


def promised_depth(storage: Storage, width: int) -> int:
    """How many blocks a DiT must have: what LightX2V's config.json beside it says, else what the published models of its width have, else 0.

    A missing last block shows in nothing else, and the model without it samples noise.
    """
    folder = storage.path if os.path.isdir(storage.path) else os.path.dirname(storage.path)
    try:
        with open(os.path.join(folder, CONFIG), encoding="utf-8-sig") as file:
            config = json.load(file)
        if config["dim"] == width:
            return min(int(config["num_layers"]), _MOST)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass
    return FULL_DEPTH.get(width, 0)
