"""Telling a lack of memory, which says nothing of a kernel, from a kernel's failure."""

import re

import torch

_SAID = re.compile(r"(?i)out of memory|status_alloc_failed|can(?:no|')t allocate memory|not enough memory")
"""What else says it: CUDA's runtime and Triton, which raise plain errors where others fill the card; cuBLAS and cuDNN; torch on the CPU."""


def is_lack_of_memory(problem: BaseException) -> bool:
    """Whether an exception says that the device or the host had no memory left. Shared memory that no tile fits into is another thing."""
    return isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or _SAID.search(str(problem)) is not None


def raise_lack_of_memory(problem: Exception) -> None:
    """Raise torch.OutOfMemoryError, which ComfyUI and the reports know, if that is what an exception says."""
    if isinstance(problem, torch.OutOfMemoryError):
        raise problem
    if is_lack_of_memory(problem):
        raise torch.OutOfMemoryError(str(problem)) from problem
