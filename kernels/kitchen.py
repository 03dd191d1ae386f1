"""`int8-kitchen`: the int8 linear of comfy-kitchen, which ComfyUI itself comes with.

It quantizes the activations inside its own call, so one quantized activation can't feed several products here.
"""

import importlib

import torch

from ..formats import QuantizedWeight
from .checks.numeric import small_check
from .contract import Kernel, Verdict
from .devices import nvidia
from .foreign.packages import KITCHEN
from .operators import operator
from .rows import Rows, floats


def _fake(x, data, scale, bias):
    return x.new_empty((x.shape[0], data.shape[0]))


@operator("kitchen_linear(Tensor x, Tensor data, Tensor scale, Tensor? bias) -> Tensor", _fake)
def kitchen_linear(x: torch.Tensor, data: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """comfy_kitchen.int8_linear by the best backend it has for this device."""
    kitchen = importlib.import_module("comfy_kitchen")
    return kitchen.int8_linear(x.contiguous(), data, scale.flatten(), None if bias is None else bias.to(x.dtype), x.dtype)


class Kitchen(Kernel):
    name, format, variant = "int8-kitchen", "int8-channel", "comfy-kitchen's int8_linear"
    package = KITCHEN
    in_multiple = out_multiple = 16
    is_exact_in_fp32 = False

    def is_supported(self, device: torch.device) -> Verdict:
        able, why = nvidia(device, (7, 5), but="it has no int8 tensor cores")
        if not able:
            return False, why
        try:
            found = hasattr(importlib.import_module("comfy_kitchen"), "int8_linear")
        except Exception as problem:  # it loads a library of its own, and that may fail in any way
            return False, f"comfy_kitchen can't be imported here: {problem}"
        return small_check(self, device) if found else (False, "this ComfyUI's comfy-kitchen is older than its int8_linear")

    def activations(self, rows: Rows) -> torch.Tensor:
        found = floats(Rows(*importlib.import_module("comfy_kitchen").quantize_int8_rowwise(rows.values)))
        # It makes codes of -128 of an fp16 row of zeros, with a scale of 1e-30 (seen on an H200); the product's dtype rounds that to zero.
        return found.masked_fill_((rows.values == 0).all(dim=1, keepdim=True), 0)

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return kitchen_linear(rows.values, weight.data, weight.scale, bias).to(out_dtype)


VARIANTS = (Kitchen(),)
