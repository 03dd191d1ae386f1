"""Where ComfyUI keeps the components' files, extra_model_paths.yaml included, and how they are opened."""

import os

import comfy.utils
import folder_paths
import torch

from ..errors import CheckpointError
from ..loaders.checkpoint import SPIECE
from ..loaders.components import COMPONENTS
from ..loaders.discover import find
from ..loaders.files import SAFETENSORS, open_pickled, opener, safetensors_header
from ..loaders.names import models_for
from ..loaders.storage import fold_parts
from ..loaders.tokenizer import MODEL_FILE, beside
from ..loaders.wan_folder import LIGHTX2V


def _open_safetensors(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    # ComfyUI's own reader: with dynamic VRAM its tensors stream from the file to the GPU, as long as nobody touches them before.
    return comfy.utils.load_torch_file(path, return_metadata=True)


open_file = opener(_open_safetensors)


def checkpoint_names(component: str) -> list[str]:
    """The component's checkpoints as the dropdowns name them: files, and for a checkpoint in parts its folder."""
    return sorted(fold_parts([*_file_names(component), *(LIGHTX2V + os.sep + name for name in _lightx2v_names(component))]))


def full_path(component: str, name: str) -> str:
    """The path behind a dropdown's name. A path outside ComfyUI's folders is never returned. Raises CheckpointError where nothing is there."""
    path = _existing_path(component, name)
    if path is None:
        raise no_such_file(component, name)
    return path


def no_such_file(component: str, name: str) -> CheckpointError:
    """The error for a name that leads to no file."""
    kind = COMPONENTS[component].folder
    return CheckpointError(f"LightQuant found no such file as {name} among ComfyUI's {kind}. Pick another, or put it there and refresh the list (R).")


def check_listed(component: str, name: str) -> None:
    """Raise CheckpointError unless a dropdown of ComfyUI's has the name, as its server does before it runs a graph: no other path is looked at."""
    if name not in checkpoint_names(component):
        raise no_such_file(component, name)


def name_of(component: str, path: str) -> str:
    """What the dropdowns call a path that full_path gave."""
    last = os.path.basename(path)
    alike = (name for name in checkpoint_names(component) if os.path.basename(name) == last)
    return next((name for name in alike if _existing_path(component, name) == path), last)


def checkpoint_path(component: str, name: str | None, formats: list[str], expert: str | None = None) -> str:
    """The chosen checkpoint's path, or, where none is chosen, that of the one in one of the formats (and, of a pair, the expert's)."""
    if name:
        return full_path(component, name)
    # A dangling link shall not keep the other files from being found.
    paths = [path for each in checkpoint_names(component) if (path := _existing_path(component, each))]
    return find(component, formats, paths, searched_folders(component), expert)


def searched_folders(component: str) -> list[str]:
    """Where the component's checkpoints are looked for."""
    return [*folder_paths.get_folder_paths(COMPONENTS[component].folder), *_lightx2v_folder()]


def _existing_path(component: str, name: str) -> str | None:
    # What folder_paths does with the names it is given: nothing leads out of the folders.
    name = os.path.relpath(os.path.join(os.sep, name), os.sep)
    path = folder_paths.get_full_path(COMPONENTS[component].folder, name)
    if path is not None:
        return path
    top, _, rest = name.partition(os.sep)
    places = [os.path.join(root, name) for root in folder_paths.get_folder_paths(COMPONENTS[component].folder)]
    places = [place for place in places if os.path.isdir(place)]
    if top == LIGHTX2V:
        places += [os.path.join(root, rest) for root in _lightx2v_folder() if os.path.exists(os.path.join(root, rest))]
    return places[0] if places else None


def _file_names(component: str) -> list[str]:
    return folder_paths.get_filename_list(COMPONENTS[component].folder)


def _lightx2v_folder() -> list[str]:
    path = os.path.join(folder_paths.models_dir, LIGHTX2V)
    return [path] if os.path.isdir(path) else []


def _lightx2v_names(component: str) -> list[str]:
    """The files in LightX2V's folder that may be the component's: its Wan folders hold all of a model's parts side by side."""
    return models_for(component, (name for root in _lightx2v_folder() for name in folder_paths.recursive_search(root, [".git"])[0]))


def tokenizer_names() -> list[str]:
    """What a tokenizer can be taken from: the sentencepiece models in the text encoder folders, then ComfyUI's own files there."""
    return [*_spiece_models(), *(name for name in _file_names("t5") if name.lower().endswith(SAFETENSORS))]


def spiece_models_for(checkpoint: str) -> list[str]:
    """The sentencepiece models that a T5 loader may come upon: those beside its checkpoint and in the text encoder folders."""
    return [*filter(os.path.isfile, beside(checkpoint)), *_spiece_models().values()]


def check_tokenizer_listed(name: str) -> None:
    """As check_listed, for the dropdown of tokenizers."""
    if name not in tokenizer_names():
        raise no_such_file("t5", name)


def tokenizer_path(name: str) -> str:
    """The path behind a name from tokenizer_names."""
    return _spiece_models().get(name) or full_path("t5", name)


def tokenizer_paths() -> list[str]:
    """The paths behind tokenizer_names, less those that are gone since ComfyUI listed them."""
    files = (folder_paths.get_full_path(COMPONENTS["t5"].folder, name) for name in _file_names("t5") if name.lower().endswith(SAFETENSORS))
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
