"""Standing in for a model's blocks through ComfyUI's block replacement, for one clone."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

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
    return getattr(getattr(patcher.model, "diffusion_model", None), "blocks", None)


def running(transformer_options: Mapping) -> Running | None:
    """Of the run that these options are of."""
    return transformer_options.get(_RUNNING)


def replaced(patcher) -> dict[int, Replacement]:
    """What stands in for a clone's blocks, by their number."""
    found = patcher.model_options.get("transformer_options", {}).get("patches_replace", {}).get(_REPLACED, {})
    return {key[1]: replacement for key, replacement in found.items() if key[0] == _BLOCK}


def replace(patcher, replacements: Mapping[int, Replacement], key: str) -> None:
    """Have these stand in for a clone's blocks. key: of what is registered with the clone for that."""
    for number, replacement in replacements.items():
        patcher.set_model_patch_replace(replacement, _REPLACED, _BLOCK, number)
    patcher.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, key)
    patcher.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, key, _note)


def put_back(patcher, numbers: list[int], key: str) -> None:
    """Have a clone's blocks stand for themselves again."""
    found = patcher.model_options.get("transformer_options", {}).get("patches_replace", {}).get(_REPLACED, {})
    for number in numbers:
        del found[(_BLOCK, number)]
    patcher.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, key)


def _note(executor, x, timestep, context, clip_fea=None, time_dim_concat=None, transformer_options=None, **kwargs):
    options = {} if transformer_options is None else transformer_options
    options[_RUNNING] = Running(executor.class_obj.blocks, None if clip_fea is None else clip_fea.shape[-2])
    return executor(x, timestep, context, clip_fea, time_dim_concat, options, **kwargs)
