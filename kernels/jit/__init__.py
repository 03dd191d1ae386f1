"""The Triton kernels, and how they are cut into tiles. All that imports Triton is in here, and is imported on first use on a CUDA device."""

import importlib
import logging
from collections.abc import Callable
from types import ModuleType

from ..checks.memory import raise_lack_of_memory

log = logging.getLogger(__name__)


def if_right(name: str, check: Callable[[ModuleType], bool], otherwise: str) -> ModuleType | None:
    """A module of this folder if the check of it holds: Triton may be missing, unable to compile (no C compiler, say), or wrong.

    otherwise: what happens without it, for the log. Raises torch.OutOfMemoryError where there was no memory for the check.
    """
    try:
        module = importlib.import_module(f".{name}", __package__)
        if check(module):
            return module
        problem: object = "its results are wrong here"
    except Exception as error:  # a compiler may raise anything, and without it the eager way works
        raise_lack_of_memory(error)
        problem = error
    log.warning("LightQuant: %s, as Triton can't be used: %s", otherwise, problem)
    return None
