"""ComfyUI's progress bar for work that counts bytes."""

from collections.abc import Callable

import comfy.model_management
import comfy.utils

_STEPS = 1000
"""Of the bar, however many bytes there are."""


def byte_progress() -> Callable[[int, int], None]:
    """Takes bytes done and bytes in all; it raises ComfyUI's interruption once the user has cancelled."""
    bar = comfy.utils.ProgressBar(_STEPS)

    def progress(done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(_STEPS * done // max(1, total))

    return progress
