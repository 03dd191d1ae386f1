"""Small numeric checks of a kernel: whether it works is seen, not read off a version."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TypeVar

import torch

from ..formats import FORMATS, QuantizedWeight, repacked
from . import reference
from .contract import Kernel, Rows, Verdict
from .quantize_rows import CHECKED_WIDTH

Moved = TypeVar("Moved", Rows, QuantizedWeight)

ROWS, OUT_FEATURES = 48, 128

THOROUGH = [
    (rows, inputs, outputs, dtype, has_bias)
    for inputs, outputs in ((CHECKED_WIDTH, 256), (1280, 2048))
    for rows in (1, 17, 130)
    for dtype in (torch.bfloat16, torch.float16)
    for has_bias in (True, False)
]
"""The products that a foreign kernel is checked with: a modulation layer's single row, an odd number of rows, several tiles."""


@cache
def small_check(kernel: Kernel, device: torch.device) -> Verdict:
    """Whether the kernel's product on this device is that of the oracle, in this process."""
    try:
        error = error_of(kernel, device, ROWS, CHECKED_WIDTH, OUT_FEATURES, torch.bfloat16, True)
    except torch.OutOfMemoryError:
        raise  # says nothing about the kernel, and the cache keeps no exceptions
    except Exception as problem:  # compilers and drivers raise anything, and the next variant may work
        return False, f"{kernel.variant} fails here: {first_line(problem)}"
    if error > kernel.tolerance(torch.bfloat16):
        return False, f"{kernel.variant} is wrong here: relative error {error:.3g}"
    return True, kernel.variant


def thorough_check(kernel: Kernel, device: torch.device, load: Callable[[], None]) -> dict:
    """What many products of many shapes show: {"works", "why", "error"}; for a process of its own, as it may end it. load: goes first.

    "lasting": False, where that says nothing about the kernel.
    """
    worst, done = 0.0, 0
    try:
        load()
        for rows, inputs, outputs, dtype, has_bias in THOROUGH:
            if not kernel.can_run(rows, inputs, outputs, dtype)[0]:
                continue
            error = error_of(kernel, device, rows, inputs, outputs, dtype, has_bias)
            worst, done = max(worst, error / kernel.tolerance(dtype) * kernel.tolerance(torch.bfloat16)), done + 1
            if error > kernel.tolerance(dtype):
                what = f"{rows} x {inputs} by {outputs} in {str(dtype).removeprefix('torch.')}, {'with' if has_bias else 'without'} bias"
                return {"works": False, "why": f"it is wrong: relative error {error:.3g} in a product of {what}", "error": error}
    except torch.OutOfMemoryError as problem:
        return {"works": False, "why": f"its check had no memory: {first_line(problem)}", "error": None, "lasting": False}
    except Exception as problem:
        return {"works": False, "why": f"it fails: {first_line(problem)}", "error": None}
    if not done:
        return {"works": False, "why": "it takes none of the products that it is checked with", "error": None}
    allowed = kernel.tolerance(torch.bfloat16)
    return {"works": True, "why": f"relative error at most {worst:.2g} of {allowed:g} allowed in {done} products", "error": worst}


def error_of(kernel: Kernel, device: torch.device, rows: int, inputs: int, outputs: int, dtype: torch.dtype, has_bias: bool) -> float:
    """The kernel's relative error against the oracle on random operands, without touching torch's global random state.

    All but the product itself is computed on the CPU: every further operation would have its own GPU code to load first, which costs more
    than the check.
    """
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, inputs, generator=generator).to(dtype)
    bias = torch.randn(outputs, generator=generator).to(dtype) if has_bias else None
    stored = repacked(kernel.format, _weight(kernel.format, outputs, inputs), kernel.packings)
    quantized = kernel.quantize(x.to(device))
    y = kernel.matmul(quantized, _on(stored, device), None if bias is None else bias.to(device), dtype)
    return reference.relative_error(y.cpu(), reference.matmul(kernel, _on(quantized, "cpu"), stored, bias))


@lru_cache(maxsize=2)
def _weight(format_name: str, outputs: int, inputs: int) -> QuantizedWeight:
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(0))
    return FORMATS[format_name].quantize(weight * torch.logspace(-2, 0, outputs)[:, None])


def first_line(problem: BaseException) -> str:
    """What an exception says, in one line."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


def _on(tensors: Moved, device: torch.device | str) -> Moved:
    """The same named tuple with its tensors on a device."""
    return type(tensors)(*(None if tensor is None else tensor.to(device) for tensor in tensors))
