"""The report on checkpoints: files from ComfyUI's lists, its device, its progress bar and its interrupt."""

import comfy.model_management
import comfy.utils

from ..reports.error_report.compare import compare
from ..reports.error_report.report import ErrorReport
from .inspecting import files_of, path_of

ROOM = 4 << 30
"""What the device needs free: the largest layer of a 14B model as float, stored and decoded takes less."""

_STEPS = 1000
"""Of the progress bar, whatever the files' size."""


def report_on(checkpoints: list[str], against: str, random: bool) -> ErrorReport:
    """The report on names from inspecting.checkpoint_names; it shows its progress and stops when the user cancels."""
    bar, device = comfy.utils.ProgressBar(_STEPS), comfy.model_management.get_torch_device()

    def progress(done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(_STEPS * done // max(1, total))

    comfy.model_management.free_memory(ROOM, device)
    return compare([path_of(name) for name in checkpoints], path_of(against), device, random, progress)


def files_behind(names: list[str]) -> list[str]:
    """The files that a report on these names reads."""
    return [file for name in names for file in files_of(name)]
