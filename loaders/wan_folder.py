"""How a LightX2V model folder is laid out: where its DiT or two experts, its encoders and its tokenizer lie."""

import os
from collections.abc import Iterable

from .files import SAFETENSORS

ENCODER_FOLDERS = ("distill_int8", "distill_fp8", "distill_models", "int8", "fp8", "original")
"""Subfolders of a model folder, in the order in which LightX2V's `find_torch_model_path` looks through them for an encoder."""

ORDER = (*ENCODER_FOLDERS, "")
"""The same with the folder itself, which comes last."""

HIGH, LOW = "high", "low"
"""The expert of the first, noisy steps, and that of the rest."""

EXPERT_FOLDERS = {HIGH: "high_noise_model", LOW: "low_noise_model"}
"""Where the two experts lie, in the order of sampling."""

LIGHTX2V = "lightx2v"
"""The folder of models/ in which LightX2V's own ComfyUI wrapper keeps its Wan folders."""

TOKENIZER = os.path.join("google", "umt5-xxl", "spiece.model")

_T5, _CLIP = "models_t5_umt5-xxl-enc-", "models_clip_open-clip-xlm-roberta-large-vit-huge-14"
ENCODER_FILES: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("t5", "fp8-channel"): (f"{_T5}fp8.pth",),
    ("t5", "int8-channel"): (f"{_T5}int8.pth",),
    ("t5", None): (f"{_T5}bf16.pth",),
    ("clip", "fp8-channel"): (f"{_CLIP}-fp8.pth", "clip-fp8.pth"),
    ("clip", "int8-channel"): (f"{_CLIP}-int8.pth", "clip-int8.pth"),
    ("clip", None): (f"{_CLIP}.pth",),
}
"""Component and format (None: float) -> its file's name as published now, then as LightX2V's first repositories have it."""

SIGNS = {"t5": ("models_t5_",), "clip": ("models_clip_", "clip-")}
"""How the names of all files of an encoder begin."""


def places_in(folder: str) -> list[str]:
    """The folders in which a model folder may keep a checkpoint, in LightX2V's order for an encoder."""
    return [place for name in ORDER if os.path.isdir(place := os.path.join(folder, name) if name else folder)]


def has_experts(folder: str) -> bool:
    """Whether the model folder keeps two experts."""
    return any(all(os.path.isdir(os.path.join(place, name)) for name in EXPERT_FOLDERS.values()) for place in places_in(folder))


def tokenizer_in(folder: str) -> str | None:
    """The tokenizer of a model folder, if it is there."""
    path = os.path.join(folder, TOKENIZER)
    return path if folder and os.path.isfile(path) else None


def looks_like_one(names: Iterable[str]) -> bool:
    """Whether a folder with these files and folders in it may be a Wan model's."""
    signs = (*SIGNS["t5"], "models_clip_")
    return any(name in ("config.json", EXPERT_FOLDERS["high"]) or name.startswith(signs) or name.lower().endswith(SAFETENSORS) for name in names)
