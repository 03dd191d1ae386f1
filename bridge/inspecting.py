"""The inspector's way to ComfyUI: where it computes, its progress bar and its images."""

import comfy.model_management
import torch

from ..reports.inspect import Inspection, inspect
from ..reports.picture import draw
from .checkpoints import path_of
from .pages import as_image
from .progress import byte_progress


def inspect_checkpoint(name: str, data: bool) -> Inspection:
    """The report on a name from checkpoint_names; reading the data shows its progress and stops when the user cancels."""
    return inspect(path_of(name), comfy.model_management.get_torch_device(), data, byte_progress() if data else None)


def picture_of(inspection: Inspection) -> torch.Tensor:
    """The report's picture as ComfyUI's IMAGE."""
    return as_image(draw(inspection))
