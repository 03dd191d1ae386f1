"""The two experts of Wan2.2 A14B: which is which, and whether two checkpoints belong together."""

import os

from ..errors import CheckpointError
from .checkpoint import without_prefix
from .names import expert_of, with_expert
from .scaled import logical_shape
from .storage import headers
from .wan_folder import HIGH, LOW

_OTHER = {HIGH: LOW, LOW: HIGH}


def counterpart(path: str) -> str | None:
    """The other expert's checkpoint, if it lies where its name would be with "high" and "low" exchanged; in either letter case."""
    expert = expert_of(path)
    if expert is None:
        return None
    folder, name = os.path.split(path)
    name, beside = (with_expert(each, expert, _OTHER[expert]) for each in (name, os.path.basename(folder)))
    places = [os.path.join(folder, name), os.path.join(os.path.dirname(folder), beside, name)]
    return next((place for place in places if place != path and os.path.exists(place)), None)


def check_pair(high: str, low: str) -> None:
    """Raise CheckpointError unless the two can be a pair: not exchanged, not twice the same, of one architecture."""
    for path, place in ((high, HIGH), (low, LOW)):
        if expert_of(path) == _OTHER[place]:
            other = _OTHER[place]
            raise CheckpointError(f"{path} is the {other}-noise expert by its name, and was picked as the {place}-noise one. Exchange the two.")
    if os.path.normcase(os.path.realpath(high)) == os.path.normcase(os.path.realpath(low)):
        raise CheckpointError(f"Both experts are {high}. Pick the high-noise and the low-noise checkpoint of one model.")
    shapes = [_shapes(path) for path in (high, low)]
    different = sorted(key for key in shapes[0].keys() | shapes[1].keys() if shapes[0].get(key) != shapes[1].get(key))
    if different:
        mine, theirs = (list(each[different[0]]) if different[0] in each else "not there" for each in shapes)
        raise CheckpointError(
            f"{high} and {low} are not the experts of one model: {different[0]} is {mine} in the first and {theirs} in the second. "
            "Pick two checkpoints of the same model."
        )


def _shapes(path: str) -> dict[str, tuple[int, ...]]:
    tensors = without_prefix(headers(path))
    return {key: logical_shape(tensors, key) for key in tensors if key.endswith(("weight", "modulation"))}
