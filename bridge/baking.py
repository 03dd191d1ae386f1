"""What becomes of a quantized weight when ComfyUI bakes patches into it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import comfy.lora
import comfy.model_management
import comfy.utils
import torch
from comfy.quant_ops import QuantizedTensor

PIECES = 8
"""So many fp32 copies of a weight exist at once while one is baked and compared."""


class Baked(NamedTuple):
    """A layer's weight [N, K] in fp32: as it is stored, with its patches, and with them rounded back into its format."""

    layer: str
    stored: torch.Tensor
    patched: torch.Tensor
    baked: torch.Tensor


def bake_each(patcher, keys: Sequence[str]) -> Iterator[Baked]:
    """Bake every quantized weight among the keys, one after the other on the patcher's device, as it happens when the model is loaded.

    Nothing of the model is changed. It shows its progress on the node, and stops when the user cancels.
    """
    bar, device = comfy.utils.ProgressBar(len(keys)), patcher.load_device
    largest = max((comfy.utils.get_attr(patcher.model, key).numel() for key in keys), default=0)
    comfy.model_management.free_memory(PIECES * 4 * largest, device)
    for key in keys:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update(1)
        layer = key.rpartition(".")[0]
        module = patcher.model.get_submodule(layer)
        # What lies in the model may be patched for another clone; ComfyUI has put the stored weight aside then.
        weight = patcher.backup[key].weight if key in patcher.backup else module.weight
        if not isinstance(weight, QuantizedTensor):
            continue
        dtype = comfy.model_management.lora_compute_dtype(device)
        stored = weight.to(device=device).to(dtype=dtype).dequantize()
        patched = comfy.lora.calculate_weight(patcher.patches[key], stored.clone(), key)
        baked = module.set_weight(patched, seed=comfy.utils.string_to_seed(key), return_weight=True)
        yield Baked(layer, stored.float(), patched.float(), baked.dequantize().float())
