"""Weights in the packing that a kernel wants, where the file has another one."""

import logging
from collections.abc import Mapping

import comfy.model_management
import comfy.utils

from ..formats import QuantizedWeight, packing_of, repacked
from ..kernels import Kernel

ROOM = 1 << 30
"""What the device needs free meanwhile; the largest weight of a 14B model and its codes, one a byte and two bytes, take less."""

log = logging.getLogger(__name__)


def in_packing(weights: Mapping[str, QuantizedWeight], kernel: Kernel) -> Mapping[str, QuantizedWeight]:
    """The weights as they are where the kernel reads their packing; else repacked in memory, exactly, on the device that computes.

    A weight that the kernel's packing can't hold stays as it is and goes to the fallback.
    """
    foreign = [name for name, weight in weights.items() if packing_of(kernel.format, weight).packing not in kernel.packings]
    if not foreign:
        return weights
    device, bar, changed = comfy.model_management.get_torch_device(), comfy.utils.ProgressBar(len(foreign)), dict(weights)
    comfy.model_management.free_memory(ROOM, device)
    for name in foreign:
        there = QuantizedWeight(*(part.to(device) for part in weights[name]))
        changed[name] = QuantizedWeight(*(part.cpu() for part in repacked(kernel.format, there, kernel.packings)))
        bar.update(1)
    comfy.model_management.soft_empty_cache()
    log.info("LightQuant repacked %d weights in memory; a file in %s packing is mapped instead", len(foreign), kernel.packings[0])
    return changed
