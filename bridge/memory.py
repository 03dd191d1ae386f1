"""What ComfyUI's memory management is asked for by whoever holds memory beside its models."""

from collections.abc import Mapping

import comfy.model_management
import comfy.model_patcher
import torch

HEADROOM = 2 << 30
"""Host memory that stays free whatever is pinned or read ahead."""


def pin(tensor: torch.Tensor) -> bool:
    """Register a tensor's memory with the device, in ComfyUI's account of pinned memory. False where no device needs that, or no more can be."""
    return comfy.model_management.pin_memory(tensor)


def unpin(tensor: torch.Tensor) -> None:
    """Undo `pin`."""
    comfy.model_management.unpin_memory(tensor)


def free_host_bytes() -> int:
    """How much host memory may be taken without pressing others."""
    return max(0, int(comfy.model_management.get_free_memory(torch.device("cpu"))) - HEADROOM)


def leave_room(patcher, size: int) -> None:
    """Have ComfyUI take so much of a loaded model's size for not loaded yet, so that before every run it sees to it that this is free.

    Others are asked to leave before the run then, and never in it, where they may be in use.
    """
    patcher.model.model_loaded_weight_memory = min(patcher.loaded_size(), patcher.model_size() - size)


def unload(patcher) -> None:
    """Have a model leave its device, and nothing else."""
    others = [each for each in comfy.model_management.current_loaded_models if each.model is None or each.model.model is not patcher.model]
    comfy.model_management.free_memory(1e30, patcher.load_device, keep_loaded=others)


def weight_bytes(patcher) -> int:
    """What all weights of a patcher's model take."""
    return comfy.model_management.module_size(patcher.model)


def loaded_bytes(patcher) -> int:
    """What of a patcher's model is on its device now."""
    return patcher.loaded_size()


def bytes_in_use(device: torch.device) -> int | None:
    """What all programs together use of a GPU's memory, by its driver; None where that can't be asked."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def limit_dynamic(patcher, size: int) -> None:
    """Let ComfyUI's dynamic VRAM keep at most so many bytes of a model's weights on the device, until the model is loaded the next time.

    Above its watermark it keeps nothing, and each load puts the mark to the top. Freeing lowers it, down to what comfy-aimdo calls its limit; that
    one would keep other models from pressing it further, and all clones of the model share it, so it is there for this call alone.
    """
    vbar = getattr(patcher.model, "dynamic_vbars", {}).get(patcher.load_device)
    if vbar is None:
        return
    vbar.set_watermark_limit(int(size))
    vbar.free_memory(int(vbar.max_size))
    vbar.set_watermark_limit(0)


def patches_on(patcher) -> Mapping[str, list]:
    """Key of a parameter -> the functions by which ComfyUI patches it where it is not resident: LoRAs, and weight wrappers behind them."""
    found = {key: [comfy.model_patcher.LowVramPatch(key, patcher.patches)] for key in patcher.patches}
    for key, functions in patcher.weight_wrapper_patches.items():
        found.setdefault(key, []).extend(functions)
    return found
