"""What hangs on a model's clone besides its weights (sampling settings, wrappers, callbacks, hooks), handed to a model with other weights."""

import torch
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers.torch_compile import COMPILE_KEY

from ..errors import ConvertError
from .given import Given, check_no_bypass
from .load import Loaded
from .record import attach

_OF_A_CLONE = (
    "object_patches", "force_cast_weights", "weight_wrapper_patches", "model_options", "attachments", "additional_models", "callbacks", "wrappers",
    "injections", "hook_patches", "forced_hooks",
)  # fmt: skip
"""The attributes that ComfyUI copies for each clone and that name no weight's value; `patches` do, and are merged instead."""

_FURTHER_GPUS = "multigpu"
"""Where ComfyUI keeps the copies of a model that MultiGPU CFG Split made. It clones the model's patcher over their modules, whatever these are."""


def check_portable(given: Given) -> None:
    """Raise ConvertError where something on the model holds its float modules, and would go on running them."""
    check_no_bypass(given, "Quantize first, and put that node behind.")
    if given.patcher.get_wrappers(WrappersMP.APPLY_MODEL, COMPILE_KEY):
        raise ConvertError(f"This {given.kind} is compiled as the float model that it is. Quantize first, and compile the result.")
    if given.patcher.get_additional_models_with_key(_FURTHER_GPUS):
        raise ConvertError(
            f"MultiGPU CFG Split has put the float model that this {given.kind} is on further GPUs. Put Quantize Model before MultiGPU CFG Split."
        )
    own = {id(module) for module in given.patcher.model.modules()}
    for name, value in given.patcher.object_patches.items():
        owner = getattr(value, "__self__", value)
        if isinstance(owner, torch.nn.Module) and any(id(module) in own for module in owner.modules()):
            raise ConvertError(f"A node has replaced {name} of this {given.kind} by something that runs its float layers. Quantize before that node.")


def carry_over(given: Given, loaded: Loaded) -> None:
    """Give a loaded model's patcher what the given one's clone would have, its weights and their patches aside."""
    clone = given.patcher.clone()
    for name in _OF_A_CLONE:
        setattr(loaded.patcher, name, getattr(clone, name))
    attach(loaded.patcher, loaded.record)
