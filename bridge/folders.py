"""Where ComfyUI keeps the components' files, extra_model_paths.yaml included, and how they are opened."""

import os

import comfy.utils
import folder_paths
import torch

from ..loaders.checkpoint import SPIECE
from ..loaders.components import COMPONENTS
from ..loaders.discover import find
from ..loaders.files import SAFETENSORS, open_pickled, opener, safetensors_header
from ..loaders.tokenizer import MODEL_FILE, beside


def _open_safetensors(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    # ComfyUI's own reader: with dynamic VRAM its tensors stream from the file to the GPU, as long as nobody touches them before.
    return comfy.utils.load_torch_file(path, return_metadata=True)


open_file = opener(_open_safetensors)


def file_names(component: str) -> list[str]:
    """The component's files as ComfyUI's dropdowns name them."""
    return folder_paths.get_filename_list(COMPONENTS[component].folder)


def full_path(component: str, name: str) -> str:
    """The path behind a dropdown's name. An absolute path outside ComfyUI's folders is never returned."""
    return folder_paths.get_full_path_or_raise(COMPONENTS[component].folder, name)


def checkpoint_path(component: str, name: str | None, formats: list[str]) -> str:
    """The chosen file's path, or, where none is chosen, the one file of the component stored in one of the formats."""
    if name:
        return full_path(component, name)
    # get_full_path gives None for a dangling link, which shall not keep the other files from being found.
    paths = [path for each in file_names(component) if (path := folder_paths.get_full_path(COMPONENTS[component].folder, each))]
    return find(component, formats, paths, folder_paths.get_folder_paths(COMPONENTS[component].folder))


def tokenizer_names() -> list[str]:
    """What a tokenizer can be taken from: the sentencepiece models in the text encoder folders, then ComfyUI's own files there."""
    return [*_spiece_models(), *(name for name in file_names("t5") if name.lower().endswith(SAFETENSORS))]


def spiece_models_for(checkpoint: str) -> list[str]:
    """The sentencepiece models that a T5 loader may come upon: those beside its checkpoint and in the text encoder folders."""
    return [*filter(os.path.isfile, beside(checkpoint)), *_spiece_models().values()]


def tokenizer_path(name: str) -> str:
    """The path behind a name from tokenizer_names."""
    return _spiece_models().get(name) or full_path("t5", name)


def tokenizer_paths() -> list[str]:
    """The paths behind tokenizer_names, less those that are gone since ComfyUI listed them."""
    files = (folder_paths.get_full_path(COMPONENTS["t5"].folder, name) for name in file_names("t5") if name.lower().endswith(SAFETENSORS))
    return [*_spiece_models().values(), *filter(None, files)]


def read_spiece(path: str) -> torch.Tensor | None:
    """The tokenizer that a ComfyUI umt5 file carries, or None."""
    if not path.lower().endswith(SAFETENSORS):
        return open_pickled(path).get(SPIECE)
    return open_file(path)[0][SPIECE] if SPIECE in safetensors_header(path) else None


def _spiece_models() -> dict[str, str]:
    found: dict[str, str] = {}
    for root in folder_paths.get_folder_paths(COMPONENTS["t5"].folder):
        for folder, _, files in os.walk(root, followlinks=True):
            for file in sorted(files):
                if file.lower().endswith(MODEL_FILE):
                    path = os.path.join(folder, file)
                    found.setdefault(os.path.relpath(path, root), path)
    return found
