"""Where ComfyUI keeps LoRAs."""

import folder_paths

from ..errors import LoraError

FOLDER = "loras"


def lora_names() -> list[str]:
    """The LoRAs as ComfyUI's own nodes list them."""
    return folder_paths.get_filename_list(FOLDER)


def check_lora_listed(name: str) -> None:
    """Raise LoraError unless ComfyUI lists it: whatever else a page may name, nothing else is read."""
    if name not in lora_names():
        raise _absent(name)


def lora_path(name: str) -> str:
    """The path behind a name from lora_names. Raises LoraError where nothing is there."""
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise _absent(name)
    return path


def _absent(name: str) -> LoraError:
    return LoraError(f"LightQuant found no such LoRA as {name} in ComfyUI's {FOLDER}. Pick another, or put it there and refresh the list (R).")
