"""Small numeric checks of a kernel."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

import torch

from ...formats import FORMATS, QuantizedWeight, repacked
from .. import reference
from ..contract import Kernel, Verdict
from ..rows import CHECKED_WIDTH, Rows
from .finding import Finding
from .memory import is_lack_of_memory, raise_lack_of_memory
from .once import once

Moved = TypeVar("Moved", Rows, QuantizedWeight)

Size = tuple[int, int, int]
"""Rows, inputs and outputs of a product."""

Measured = tuple[str, float, float]
"""What was computed, in words; the relative error that it had, and the one that it may have."""

SMALL: Size = (48, CHECKED_WIDTH, 128)

Case = tuple[int, int, int, torch.dtype, bool]
"""Rows, inputs and outputs of a product, the dtype of activations and output, and whether there is a bias."""

THOROUGH: list[Case] = [
    (rows, inputs, outputs, dtype, has_bias)
    for inputs, outputs in ((CHECKED_WIDTH, 256), (1280, 2048))
    for rows in (1, 17, 64, 130)
    for dtype in (torch.bfloat16, torch.float16)
    for has_bias in (True, False)
]
"""The products that a foreign kernel is checked with: a modulation layer's single row, an odd number of rows, a whole tile, several tiles."""

OF_A_VIDEO: Case = (1024, 1280, 2048, torch.bfloat16, True)
"""And one of so many rows that a GPU's libraries multiply it as they do a video's tokens; a CPU has one way for all, and would take long."""


def thorough_cases(device: torch.device) -> list[Case]:
    """What a foreign kernel is checked with on a device."""
    return THOROUGH if device.type == "cpu" else [*THOROUGH, OF_A_VIDEO]


@once
def small_check(kernel: Kernel, device: torch.device, size: Size = SMALL) -> Verdict:
    """Whether the kernel's product on this device is that of the oracle, in this process."""

    def wrong() -> str:
        error = error_of(kernel, device, *size, torch.bfloat16, True)
        return f"relative error {error:.3g} in a product of {size[0]} rows" if error > kernel.tolerance(torch.bfloat16) else ""

    return tried(kernel, wrong)


def tried(kernel: Kernel, wrong: Callable[[], str]) -> Verdict:
    """What a check shows that says what is wrong, "" if nothing. Compilers and drivers raise anything, and the next variant may work.

    Raises torch.OutOfMemoryError where there was no memory for it, which says nothing of the kernel.
    """
    try:
        problem = wrong()
    except Exception as error:
        raise_lack_of_memory(error)
        return False, f"{kernel.variant} fails here: {first_line(error)}"
    return (False, f"{kernel.variant} is wrong here: {problem}") if problem else (True, kernel.variant)


def thorough_check(kernel: Kernel, device: torch.device, load: Callable[[], None]) -> Finding:
    """What many products of many shapes show; for a process of its own, as it may end it. load: goes first."""

    def measured() -> Iterator[Measured]:
        load()
        for rows, inputs, outputs, dtype, has_bias in thorough_cases(device):
            if kernel.can_run(rows, inputs, outputs, dtype, device)[0]:
                what = f"a product of {rows} x {inputs} by {outputs} in {str(dtype).removeprefix('torch.')}, {'with' if has_bias else 'without'} bias"
                yield what, error_of(kernel, device, rows, inputs, outputs, dtype, has_bias), kernel.tolerance(dtype)

    return judged(measured(), "products")


def judged(measured: Iterable[Measured], what: str) -> Finding:
    """What is found of a kernel by computations that are made one after the other, up to the first that is wrong.

    what: they are called. Whatever making them raises is a finding, too.
    """
    worst, allowed, done = 0.0, 0.0, 0
    try:
        for described, error, tolerance in measured:
            worst, allowed, done = max(worst, error), max(allowed, tolerance), done + 1
            if not error <= tolerance:
                return Finding(False, f"it is wrong: relative error {error:.3g} in {described}", error)
    except Exception as problem:
        if is_lack_of_memory(problem):
            return Finding(False, f"its check had no memory: {first_line(problem)}", lasting=False)
        return Finding(False, f"it fails: {first_line(problem)}")
    if not done:
        return Finding(False, f"it takes none of the {what} that it is checked with")
    return Finding(True, f"relative error at most {worst:.2g} of {allowed:g} allowed in {done} {what}", worst)


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
