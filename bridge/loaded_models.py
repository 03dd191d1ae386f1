"""The card, and the quantized models that ComfyUI holds at the moment."""

import os

import comfy.model_management
import torch

from .memory import loaded_bytes
from .record import record_of


def memory_report() -> dict:
    """As /lightquant/memory answers it: bytes in all and free, and for each model what its weights take and what of them is on its device.

    A model whose clones were loaded one by one is listed once.
    """
    device = comfy.model_management.get_torch_device()
    models = {}
    for loaded in [*comfy.model_management.current_loaded_models]:  # a graph that runs changes it
        patcher = loaded.model
        record = record_of(patcher) if patcher is not None else None
        if record is not None:
            models[id(patcher.model)] = {
                "title": os.path.basename(record.file),
                "component": record.component,
                "format": record.format,
                "bytes": record.weight_bytes,
                "in_vram": loaded_bytes(patcher) if patcher.load_device.type != "cpu" else 0,
            }
    return {
        "device": comfy.model_management.get_torch_device_name(device),
        "total": int(comfy.model_management.get_total_memory(device)),
        "free": int(comfy.model_management.get_free_memory(device)),
        "models": [*models.values()],
    }


def card_name() -> str | None:
    """What the driver calls the card; None where there is none, or none of CUDA."""
    device = comfy.model_management.get_torch_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None


def machine_gib() -> tuple[float | None, float]:
    """The memory of the card, None where there is none, and of the machine, in GiB."""
    device = comfy.model_management.get_torch_device()
    vram = None if device.type == "cpu" else comfy.model_management.get_total_memory(device) / 2**30
    return vram, comfy.model_management.get_total_memory(torch.device("cpu")) / 2**30
