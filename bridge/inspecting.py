"""The inspector's way to ComfyUI: where it computes, its progress bar and its images."""

import threading
from collections.abc import Callable

import comfy.model_management
import torch

from ..errors import ReportError
from ..reports.inspect import Inspection, inspect
from ..reports.picture import draw
from ..reports.text import to_text
from .checkpoints import path_of
from .folders import check_listed, full_path
from .pages import as_image, data_url
from .progress import byte_progress
from .settings import preferred_kernels

_reading = threading.Lock()
"""The data of one checkpoint at a time is read for pages: a disk is no faster with two."""


def inspect_checkpoint(name: str, data: bool) -> Inspection:
    """The report on a name from checkpoint_names; reading the data shows its progress and stops when the user cancels."""
    return inspect(path_of(name), comfy.model_management.get_torch_device(), data, byte_progress() if data else None, preferred_kernels())


def inspect_for_a_page(component: str, name: str, data: bool, is_gone: Callable[[], bool]) -> dict | None:
    """The report on a component's checkpoint with its text and picture, for JSON; None where the data of another one is being read.

    is_gone: asked while the data is read; once it says so, the reading stops. Raises CheckpointError.
    """
    check_listed(component, name)
    if data and not _reading.acquire(blocking=False):
        return None
    try:
        path, device = full_path(component, name), comfy.model_management.get_torch_device()
        found = inspect(path, device, data, _until(is_gone) if data else None, preferred_kernels())
    finally:
        if data:
            _reading.release()
    return {**found.as_dict(), "text": to_text(found), "picture": data_url(draw(found))}


def _until(is_gone: Callable[[], bool]) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if is_gone():
            raise ReportError("The page that asked for the inspection is gone, so it was stopped.")

    return progress


def picture_of(inspection: Inspection) -> torch.Tensor:
    """The report's picture as ComfyUI's IMAGE."""
    return as_image(draw(inspection))
