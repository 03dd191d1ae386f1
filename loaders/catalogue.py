"""What LightX2V publishes on the Hugging Face hub for this pack: data, and no more of it than its documentation and configurations name.

Sizes and hashes are not here: the hub is asked for them at download.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import DownloadError

FILE, FOLDER = "file", "folder"

FP8, INT8 = "fp8-channel", "int8-channel"


class Published(NamedTuple):
    """A model on the hub.

    repository: its name there; name: of the file, or folder of parts, at the repository's top; component: dit, t5, clip or lora;
    format: of its 8-bit weights, None for float ones; folder: ComfyUI's folder type for it; kind: "file" or "folder".
    """

    repository: str
    name: str
    component: str
    format: str | None
    folder: str
    kind: str = FILE


_DIT_FORMS = (("", None), ("_scaled_fp8_e4m3", FP8), ("_int8", INT8))
"""What stands before "_lightx2v_4step" in a DiT's name, and the format it means."""

_WAN21 = "lightx2v/Wan2.1-Distill-Models"
_WAN22 = "lightx2v/Wan2.2-Distill-Models"
_ENCODERS = "lightx2v/Encoders-Lightx2v"


def _dit(repository: str, name: str, format_name: str | None, kind: str = FILE) -> Published:
    return Published(repository, name if kind == FOLDER else f"{name}.safetensors", "dit", format_name, "diffusion_models", kind)


def _lora(version: str, name: str) -> Published:
    return Published(f"lightx2v/Wan{version}-Distill-Loras", f"wan{version}_{name}.safetensors", "lora", None, "loras")


_TABLE = (
    *(
        _dit(_WAN21, f"wan2.1_{model}{form}_lightx2v_4step{end}", format_name)
        for model in ("i2v_480p", "i2v_720p", "t2v_14b")
        for form, format_name, end in (*((*each, "") for each in _DIT_FORMS), ("_scaled_fp8_e4m3", FP8, "_comfyui"))
    ),
    *(_dit(_WAN21, f"wan2.1_i2v_720p{form}_lightx2v_4step_split", format_name, FOLDER) for form, format_name in _DIT_FORMS if form),
    *(
        _dit(_WAN22, f"wan2.2_i2v_A14b_{model}{form}_lightx2v_4step{end}", format_name)
        # _1030: newer high-noise experts; there is no such low-noise one.
        for model, end in (("high_noise", ""), ("high_noise", "_1030"), ("low_noise", ""))
        for form, format_name in _DIT_FORMS
    ),
    *(
        _dit(_WAN22, f"wan2.2_i2v_A14b_{model}_int8_lightx2v_4step{end}_split", INT8, FOLDER)
        for model, end in (("high_noise", "_1030"), ("low_noise", ""))
    ),
    *(
        Published(_ENCODERS, f"models_t5_umt5-xxl-enc-{form}.pth", "t5", format_name, "text_encoders")
        for form, format_name in (("bf16", None), ("fp8", FP8), ("int8", INT8))
    ),
    *(
        Published(_ENCODERS, f"models_clip_open-clip-xlm-roberta-large-vit-huge-14{form}.pth", "clip", format_name, "clip_vision")
        for form, format_name in (("", None), ("-fp8", FP8), ("-int8", INT8))
    ),
    *(_lora("2.1", f"{model}_lora_rank64_lightx2v_4step") for model in ("i2v", "t2v_14b")),
    *(
        _lora("2.2", f"{task}_A14b_{expert}_noise_lora_rank64_lightx2v_4step{end}")
        for task, end in (("i2v", ""), ("i2v", "_1022"), ("t2v", "_1217"))
        for expert in ("high", "low")
    ),
)

CATALOGUE: dict[str, Published] = {published.name: published for published in _TABLE}
"""Name of the file or folder -> where it is published and what it is."""


def published(name: str) -> Published:
    """The catalogue's entry of that name. Raises DownloadError."""
    if name not in CATALOGUE:
        raise DownloadError(f"LightQuant's catalogue has no {name}. List it with: lightquant download")
    return CATALOGUE[name]


def folder_for(folders: Sequence[str], models: str) -> str:
    """Where a new file goes: of ComfyUI's folders of a type the first, save the two in its models folder that have been renamed since."""
    old = {os.path.join(models, name) for name in ("unet", "clip")}
    return next((folder for folder in folders if folder not in old), folders[0])
