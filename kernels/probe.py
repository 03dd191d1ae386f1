"""A small numeric check of one of torch's own products, in this process: whether it works is seen, not read off a version."""

from functools import cache
from typing import TypeVar

import torch

from ..formats import FORMATS, QuantizedWeight
from . import reference
from .contract import Kernel, Rows, Verdict
from .quantize_rows import CHECKED_WIDTH

Moved = TypeVar("Moved", Rows, QuantizedWeight)

ROWS, OUT_FEATURES = 48, 96


@cache
def small_check(kernel: Kernel, device: torch.device) -> Verdict:
    """Whether the kernel's product on this device is that of the oracle, without touching torch's global random state.

    All but the product itself is computed on the CPU: every further operation would have its own GPU code to load first, which costs more
    than the check.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, CHECKED_WIDTH, generator=generator).to(torch.bfloat16)
    weight = torch.randn(OUT_FEATURES, CHECKED_WIDTH, generator=generator) * torch.logspace(-2, 0, OUT_FEATURES)[:, None]
    bias = torch.randn(OUT_FEATURES, generator=generator).to(torch.bfloat16)
    stored = FORMATS[kernel.format].quantize(weight)
    try:
        rows = kernel.quantize(x.to(device))
        y = kernel.matmul(rows, _on(stored, device), bias.to(device), x.dtype)
        error = reference.relative_error(y.cpu(), reference.matmul(_on(rows, "cpu"), stored, bias, kernel.format))
    except torch.OutOfMemoryError:
        raise  # says nothing about the kernel, and the cache keeps no exceptions
    except Exception as problem:  # compilers and drivers raise anything, and the next variant may work
        return False, f"{kernel.variant} fails here: {(str(problem).strip() or type(problem).__name__).splitlines()[0]}"
    if error > kernel.tolerance(x.dtype):
        return False, f"{kernel.variant} is wrong here: relative error {error:.3g}"
    return True, kernel.variant


def _on(tensors: Moved, device: torch.device | str) -> Moved:
    """The same named tuple with its tensors on a device."""
    return type(tensors)(*(None if tensor is None else tensor.to(device) for tensor in tensors))
