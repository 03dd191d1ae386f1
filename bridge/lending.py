"""How a module's weight and bias reach the device for one call: the only place that knows how ComfyUI keeps them."""

from typing import NamedTuple

import comfy.ops
import torch


class Loan(NamedTuple):
    """A weight and bias on the device of x, and what ComfyUI needs to take them back."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stream: object


def lend(module: torch.nn.Module, x: torch.Tensor) -> Loan:
    """The module's weight, still quantized, and its bias in x's dtype, on x's device.

    Resident weights are lent as they are; the others are copied by ComfyUI's low-VRAM path or paged in by its dynamic VRAM. A LoRA that dynamic VRAM
    applies while paging is rounded back into the weight's format (want_requant), so that the first step sees the same weight as the later ones.
    """
    return Loan(
        *comfy.ops.cast_bias_weight(
            module, dtype=module.weight.dtype, device=x.device, bias_dtype=x.dtype, offloadable=True, compute_dtype=x.dtype, want_requant=True
        )
    )


def take_back(module: torch.nn.Module, loan: Loan) -> None:
    """End a loan: its tensors may be overwritten from now on."""
    comfy.ops.uncast_bias_weight(module, loan.weight, loan.bias, loan.stream)
