"""A small numeric check of one of torch's own products, in this process: whether it works is seen, not read off a version."""

from functools import cache

import torch

from ..formats import FORMATS
from . import reference
from .contract import Kernel, Verdict

ROWS, IN_FEATURES, OUT_FEATURES = 48, 64, 96

@cache
def small_check(kernel: Kernel, device: torch.device) -> Verdict:
    """Whether the kernel's product on this device is that of the oracle, without touching torch's global random state."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, IN_FEATURES, generator=generator).to(device, torch.bfloat16)
    weight = torch.randn(OUT_FEATURES, IN_FEATURES, generator=generator) * torch.logspace(-2, 0, OUT_FEATURES)[:, None]
    bias = torch.randn(OUT_FEATURES, generator=generator).to(device, torch.bfloat16)
    try:
        stored = FORMATS[kernel.format].quantize(weight.to(device))
        error = reference.relative_error(kernel.linear(x, stored, bias), reference.linear(kernel, x, stored, bias))
    except torch.OutOfMemoryError:
        raise  # says nothing about the kernel, and the cache keeps no exceptions
    except Exception as problem:  # compilers and drivers raise anything, and the next variant may work
        return False, f"{kernel.variant} fails here: {(str(problem).strip() or type(problem).__name__).splitlines()[0]}"
    if error > kernel.tolerance(x.dtype):
        return False, f"{kernel.variant} is wrong here: relative error {error:.3g}"
    return True, kernel.variant
