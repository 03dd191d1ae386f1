"""The oracle of every kernel: fp32 arithmetic on the same quantized operands."""

import torch
import torch.nn.functional as F

from ..formats import FORMATS, QuantizedWeight
from .contract import Kernel, Rows


def matmul(rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, format_name: str) -> torch.Tensor:
    """The fp32 product [M, N] of rows and weight as they are stored."""
    x = rows.values.float() if rows.scale is None else rows.values.float() * rows.scale
    return F.linear(x, FORMATS[format_name].dequantize(weight, torch.float32), None if bias is None else bias.float())


def linear(kernel: Kernel, x: torch.Tensor, weight: QuantizedWeight, bias: torch.Tensor | None) -> torch.Tensor:
    """What `kernel.linear` should give, in fp32: the kernel's own operands, multiplied in fp32."""
    y = matmul(kernel.quantize(x.reshape(-1, x.shape[-1])), weight, bias, kernel.format)
    return y.reshape(*x.shape[:-1], y.shape[-1])


def relative_error(y: torch.Tensor, expected: torch.Tensor) -> float:
    """|y - expected| / |expected| in fp64; infinite where either is not finite."""
    y, expected = y.double(), expected.double()
    if not bool(torch.isfinite(y).all()) or not bool(torch.isfinite(expected).all()):
        return float("inf")
    return float((y - expected).norm() / expected.norm().clamp(min=1e-30))
