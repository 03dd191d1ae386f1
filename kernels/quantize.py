"""Activations quantized in any of the ways that kernels take them."""

import torch

from .quantize_groups import empty_groups, quantize_groups
from .quantize_rows import empty_rows, quantize_rows
from .rows import Coding, Rows


def quantize(x: torch.Tensor, coding: Coding | None) -> Rows:
    """Activations [M, K] in bf16, fp16 or fp32 in a coding; None: as they are."""
    if coding is None:
        return Rows(x, None)
    return Rows(*(quantize_rows(x, coding.dtype) if coding.group is None else quantize_groups(x)))


def empty(x: torch.Tensor, coding: Coding | None) -> Rows:
    """What that returns for x, unfilled."""
    if coding is None:
        return Rows(torch.empty_like(x, memory_format=torch.contiguous_format), None)
    return Rows(*(empty_rows(x, coding.dtype) if coding.group is None else empty_groups(x)))
