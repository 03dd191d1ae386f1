"""The report on checkpoints: files from ComfyUI's lists, its device, its progress bar and its interrupt."""

import comfy.model_management

from ..reports.error_report.compare import compare
from ..reports.error_report.report import ErrorReport
from .checkpoints import files_of, path_of
from .progress import byte_progress

ROOM = 4 << 30
"""What the device needs free: the largest layer of a 14B model as float, stored and decoded takes less."""


def report_on(checkpoints: list[str], against: str, random: bool) -> ErrorReport:
    """The report on names from checkpoints.checkpoint_names; it shows its progress and stops when the user cancels."""
    device = comfy.model_management.get_torch_device()
    comfy.model_management.free_memory(ROOM, device)
    return compare([path_of(name) for name in checkpoints], path_of(against), device, random, byte_progress())


def files_behind(names: list[str]) -> list[str]:
    """The files that a report on these names reads."""
    return [file for name in names for file in files_of(name)]
