"""A LoRA on a MODEL: beside its quantized layers, exact, or baked into them."""

import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import torch

from ..bridge.baking import bake_each
from ..bridge.beside import run_beside
from ..bridge.lora_files import Change, changes_in
from ..bridge.places import LINEAR, place_of
from ..errors import LoraError
from .chain import KEY, Link, Placed, additions, chain_of, size
from .modes import BESIDE
from .report import Outcome, describe
from .survival import survival


class Applied(NamedTuple):
    """model: a clone with the LoRA, or the model itself where the strength is 0; text: what was done, for the node."""

    model: object
    text: str


def add_lora(model, path: str, strength: float, mode: str = BESIDE) -> Applied:
    """Add the LoRA to what a MODEL (ComfyUI's ModelPatcher) has already; the MODEL given stays as it is.

    Raises CheckpointError where the file can't be read, LoraError where it is no LoRA or one of another model.
    """
    if not math.isfinite(strength):
        raise LoraError(f"the strength is {strength}, where a number is needed.")
    changes = changes_in(path, model.model)
    found = [_place(model.model, path, change) for change in changes.found]
    placed = [each for each in found if not each.is_out_of_reach]
    unmatched = (*changes.unmatched, *(each.change.key for each in found if each.is_out_of_reach))
    if not placed:
        examples = ", ".join(unmatched[:3]) or "no tensors"
        raise LoraError(
            f"LightQuant can't use {path}: it holds {examples}, which changes no layer of this model. Pick a LoRA that was made for this model."
        )
    if strength == 0:
        return Applied(model, describe(Outcome(path, strength, mode, (), (), unmatched, size(chain_of(model)))))
    runs, patched = [], []
    for each in placed:
        (runs if each.is_on_parameter or (mode == BESIDE and each.is_beside) else patched).append(each)
    clone, chain = model.clone(), (*chain_of(model), Link(strength, tuple(runs)))
    for patches in _sets(each.change for each in patched):
        clone.add_patches(patches, strength)
    clone.set_attachments(KEY, chain)
    run_beside(clone, KEY, partial(additions, chain))
    keys = dict.fromkeys(each.change.key for each in patched if each.place.kind == LINEAR and not each.is_bias)
    cost = survival(bake_each(clone, list(keys)))
    return Applied(clone, describe(Outcome(path, strength, mode, runs, patched, unmatched, size(chain), cost)))


def _place(model: torch.nn.Module, path: str, change: Change) -> Placed:
    place = place_of(model, change.key)
    flat = (place.shape[0], math.prod(place.shape[1:])) if place.shape else ()
    if change.shape not in (None, place.shape) and (change.kind in ("difference", "replacement") or change.shape != flat):
        raise LoraError(
            f"LightQuant can't use {path}: its {change.kind} for {change.key} is {_readable(change.shape)}, where this model has "
            f"{_readable(place.shape)}. It was made for another model: pick one that was made for this one."
        )
    return Placed(change, place)


def _sets(changes: Iterable[Change]) -> Iterator[dict[object, object]]:
    """The changes as ComfyUI's add_patches takes them, which is one a parameter at a time."""
    sets: list[dict[object, object]] = []
    for change in changes:
        free = next((each for each in sets if change.patch_key not in each), None)
        if free is None:
            sets.append(free := {})
        free[change.patch_key] = change.patch
    yield from sets


def _readable(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
