"""The inspector's way to ComfyUI: every component's checkpoints, where it computes, its progress bar and its images."""

import comfy.model_management
import torch

from ..errors import CheckpointError
from ..loaders.components import COMPONENTS
from ..loaders.storage import paths_of
from ..reports.inspect import Inspection, inspect
from ..reports.picture import draw
from . import folders
from .pages import as_image
from .progress import byte_progress


def checkpoint_names() -> list[str]:
    """Every component's checkpoints, each behind the name of its folder: diffusion_models/NAME."""
    return [f"{component.folder}/{name}" for component in COMPONENTS.values() for name in folders.checkpoint_names(component.name)]


def files_of(name: str) -> tuple[str, ...]:
    """The files behind a name from checkpoint_names."""
    return paths_of(path_of(name))


def inspect_checkpoint(name: str, data: bool) -> Inspection:
    """The report on a name from checkpoint_names; reading the data shows its progress and stops when the user cancels."""
    return inspect(path_of(name), comfy.model_management.get_torch_device(), data, byte_progress() if data else None)


def picture_of(inspection: Inspection) -> torch.Tensor:
    """The report's picture as ComfyUI's IMAGE."""
    return as_image(draw(inspection))


def path_of(name: str) -> str:
    """The path behind a name from checkpoint_names; any other name is refused."""
    folder, _, rest = name.partition("/")
    component = next((component.name for component in COMPONENTS.values() if component.folder == folder), None)
    if component is None:
        raise CheckpointError(f"LightQuant inspects no {name}: its checkpoints lie in {', '.join(each.folder for each in COMPONENTS.values())}.")
    return folders.full_path(component, rest)
