"""The oracle of every kernel: fp32 arithmetic on the same quantized operands."""

import torch
import torch.nn.functional as F

from ..formats import QuantizedWeight
from .contract import Kernel
from .rows import Rows


def matmul(kernel: Kernel, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None) -> torch.Tensor:
    """The fp32 product [M, N] of the kernel's own operands."""
    return F.linear(kernel.activations(rows), kernel.operand(weight), None if bias is None else bias.float())


def linear(kernel: Kernel, x: torch.Tensor, weight: QuantizedWeight, bias: torch.Tensor | None) -> torch.Tensor:
    """What `kernel.linear` should give, in fp32: the kernel's own operands, multiplied in fp32."""
    y = matmul(kernel, kernel.quantize(x.reshape(-1, x.shape[-1])), weight, bias)
    return y.reshape(*x.shape[:-1], y.shape[-1])


def relative_error(y: torch.Tensor, expected: torch.Tensor) -> float:
    """|y - expected| / |expected| in fp64; infinite where either is not finite."""
    y, expected = y.double(), expected.double()
    if not bool(torch.isfinite(y).all()) or not bool(torch.isfinite(expected).all()):
        return float("inf")
    return float((y - expected).norm() / expected.norm().clamp(min=1e-30))
