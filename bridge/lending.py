"""How a module's weight and bias reach the device for one call: the only place that knows how ComfyUI keeps them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import comfy.ops
import torch
from comfy.quant_ops import QuantizedTensor


class Lender(Protocol):
    """Brings weights to the device by itself, for the modules whose `lender` it is."""

    def lend(self, module: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The module's weight, quantized or not, with its patches on it, and its bias in x's dtype, on x's device.

        They are valid until the current stream has done what it is given before the next module is lent.
        """


class Loan(NamedTuple):
    """A weight and bias on the device of x, and what ComfyUI needs to take them back; stream is None where nothing has to be done."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stream: object


def lend(module: torch.nn.Module, x: torch.Tensor) -> Loan:
    """The module's weight, still quantized, and its bias in x's dtype, on x's device.

    A module with a `lender`, as offload gives to what it streams while a model runs, is served by that. Of the others resident weights are lent as
    they are, or copied by ComfyUI's low-VRAM path, or paged in by its dynamic VRAM. A LoRA that dynamic VRAM applies while paging is rounded back
    into the weight's format (want_requant), so that the first step sees the same weight as the later ones.
    """
    lender = getattr(module, "lender", None)
    if lender is not None:
        return Loan(*lender.lend(module, x), stream=None)
    return Loan(
        *comfy.ops.cast_bias_weight(
            module, dtype=module.weight.dtype, device=x.device, bias_dtype=x.dtype, offloadable=True, compute_dtype=x.dtype, want_requant=True
        )
    )


def patched(value: torch.Tensor, functions: Sequence[Callable[[torch.Tensor], torch.Tensor]], dtype: torch.dtype) -> torch.Tensor:
    """A copy of a weight or bias with patches on it, in the dtype that it is computed in: rounding it again would round a LoRA away."""
    value = value.to(dtype=dtype).dequantize() if isinstance(value, QuantizedTensor) else value.to(dtype=dtype, copy=True)
    for function in functions:
        value = function(value)
    return value


def take_back(module: torch.nn.Module, loan: Loan) -> None:
    """End a loan: its tensors may be overwritten from now on."""
    comfy.ops.uncast_bias_weight(module, loan.weight, loan.bias, loan.stream)
