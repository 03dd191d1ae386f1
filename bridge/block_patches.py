"""Standing in for a model's blocks through ComfyUI's block replacement, for one clone."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import comfy.ldm.wan.model as wan
import torch
from comfy.patcher_extension import WrappersMP

_REPLACED, _BLOCK = "dit", "double_block"
_RUNNING = "lightquant_blocks"
"""Of transformer_options, where a run's blocks are found."""


class Running(NamedTuple):
    """What a block replacement is not told: the blocks of the model that runs, and how many tokens of the context are of an image."""

    blocks: torch.nn.ModuleList
    image_tokens: int | None


Replacement = Callable[[Mapping, Mapping], dict]
"""Called with the block's arguments by name and {"original_block": what they are given to by default}; returns {"img": the output}."""


def blocks_of(patcher) -> torch.nn.ModuleList | None:
    """The blocks of a MODEL that has Wan's; None for another."""
    model = getattr(patcher.model, "diffusion_model", None)
    return model.blocks if isinstance(model, wan.WanModel) else None


def running(transformer_options: Mapping) -> Running | None:
    """Of the run that these options are of."""
    return transformer_options.get(_RUNNING)


def replaced(patcher) -> dict[int, Replacement]:
    """What stands in for a clone's blocks, by their number."""
    found = patcher.model_options.get("transformer_options", {}).get("patches_replace", {}).get(_REPLACED, {})
    return {key[1]: replacement for key, replacement in found.items() if key[0] == _BLOCK}


def replace(patcher, replacements: Mapping[int, Replacement], key: str) -> None:
    """Have these stand in for a clone's blocks; each device's first prediction is not compiled. key: of what is registered for that."""
    _remove_wrappers(patcher, key)
    for number, replacement in replacements.items():
        patcher.set_model_patch_replace(replacement, _REPLACED, _BLOCK, number)
    patcher.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, key, _note)
    patcher.add_wrapper_with_key(WrappersMP.APPLY_MODEL, key, _first_uncompiled())


def put_back(patcher, numbers: list[int], key: str) -> None:
    """Have a clone's blocks stand for themselves again."""
    found = patcher.model_options.get("transformer_options", {}).get("patches_replace", {}).get(_REPLACED, {})
    for number in numbers:
        del found[(_BLOCK, number)]
    _remove_wrappers(patcher, key)


def _remove_wrappers(patcher, key: str) -> None:
    for kind in (WrappersMP.DIFFUSION_MODEL, WrappersMP.APPLY_MODEL):
        patcher.remove_wrappers_with_key(kind, key)


def _note(executor, x, timestep, context, clip_fea=None, time_dim_concat=None, transformer_options=None, **kwargs):
    options = {} if transformer_options is None else transformer_options
    images = [each.shape[-2] for each in (clip_fea, kwargs.get("clip_fea_ref")) if each is not None]  # WanDancer has two
    options[_RUNNING] = Running(executor.class_obj.blocks, sum(images) if images else None)
    return executor(x, timestep, context, clip_fea, time_dim_concat, options, **kwargs)


def _first_uncompiled() -> Callable:
    done: set[torch.device] = set()

    def apply(executor, x, *args, **kwargs):
        if x.device in done:
            return executor(x, *args, **kwargs)
        with _uncompiled():
            output = executor(x, *args, **kwargs)
        done.add(x.device)
        return output

    return apply


_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def _uncompiled() -> Iterator[None]:
    """What torch.compile has been asked to compile runs as it is written, in torch from 2.6 on."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        yield  # nothing was compiled, and asking would import what takes seconds
        return
    # It is said for the whole process, in which ComfyUI has a thread for each of several GPUs.
    with _ONE_AT_A_TIME, torch.compiler.set_stance("force_eager"):
        yield
