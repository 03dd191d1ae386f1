"""Weights in the packing that a kernel wants, where the file has another one."""

import logging
from collections.abc import Mapping

import comfy.model_management
import comfy.utils

from ..formats import QuantizedWeight, repacked, stored_as
from ..kernels import Selections

ROOM = 1 << 30
"""What the device needs free meanwhile; the largest weight of a 14B model and its codes, one a byte and two bytes, take less."""

log = logging.getLogger(__name__)


def in_packing(weights: Mapping[str, QuantizedWeight], selections: Selections) -> Mapping[str, QuantizedWeight]:
    """The weights as they are where the kernel of their format reads their packing; else repacked in memory, exactly, on the device that computes.

    A weight that the kernel's packing can't hold stays as it is and goes to the fallback.
    """
    kernels = {name: selections[stored_as(weight).name].kernel for name, weight in weights.items()}
    foreign = [name for name, weight in weights.items() if stored_as(weight).packing not in kernels[name].packings]
    if not foreign:
        return weights
    device, bar, changed = comfy.model_management.get_torch_device(), comfy.utils.ProgressBar(len(foreign)), dict(weights)
    comfy.model_management.free_memory(ROOM, device)
    for name in foreign:
        there = QuantizedWeight(*(part.to(device) for part in weights[name]))
        changed[name] = QuantizedWeight(*(part.cpu() for part in repacked(kernels[name].format, there, kernels[name].packings)))
        bar.update(1)
    comfy.model_management.soft_empty_cache()
    wanted = ", ".join({kernels[name].packings[0] for name in foreign})
    log.info("LightQuant repacked %d weights in memory; a file in %s packing is mapped instead", len(foreign), wanted)
    return changed
