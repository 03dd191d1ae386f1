"""The model files that the demo loads: small ones of its own in LightX2V's layouts, or the user's."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import small_models
import torch
from demo_graphs import Node, float_loader, quantized_loader
from demo_server import DemoError
from lightquant.loaders.components import COMPONENTS
from lightquant.loaders.files import SAFETENSORS, headers_in, open_pickled, safetensors_header
from lightquant.loaders.identity import identify
from lightquant.schemes import SCHEMES

TOKENIZER = Path("text_encoders", "google", "umt5-xxl", "spiece.model")
STORED_AS = {None: "bf16", "fp8-channel": "fp8", "int8-channel": "int8"}
"""The formats that the small models are made in, None for float, and what file names call them."""

SMALL = {
    "dit-t2v": (small_models.dit, "wan2.1_t2v_small_{}.safetensors"),
    "dit-i2v": (partial(small_models.dit, image_to_video=True), "wan2.1_i2v_small_{}.safetensors"),
    "t5": (small_models.t5, "models_t5_umt5-xxl-enc-{}.pth"),
    "clip": (small_models.clip, "models_clip_open-clip-xlm-roberta-large-vit-huge-14-{}.pth"),
}
"""By part, what draws its weights, and its file's name. A part is a component, and of the DiT the task it is for."""

TASK_OF_CHANNELS = {16: "t2v", 36: "i2v"}
"""What a Wan DiT is for, by the input channels of its patch embedding."""


def component(part: str) -> str:
    return part.partition("-")[0]


@dataclass(frozen=True)
class ModelFile:
    """A file below one of ComfyUI's folders. format: how its weights are stored, None for float; small: made by the demo."""

    path: Path
    format: str | None
    small: bool

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class Models:
    """All files by part.

    quantized: one file a format where they are small, else the user's one; floats: what they are compared with, where it exists.
    """

    quantized: dict[str, list[ModelFile]]
    floats: dict[str, ModelFile]
    tokenizer: Path | None

    def tasks(self) -> list[str]:
        return [part.removeprefix("dit-") for part in self.quantized if part.startswith("dit-")]

    def formats(self) -> set[str]:
        """The formats that there is a DiT in."""
        return {file.format for part, files in self.quantized.items() if part.startswith("dit-") for file in files}

    def has_float(self) -> bool:
        """Whether there is a float DiT to compare with."""
        return any(part.startswith("dit-") for part in self.floats)

    def chosen(self, task: str, scheme: str | None) -> dict[str, ModelFile]:
        """By component, the file for a scheme's format (the user's where there is only that), or for None the float one where there is one."""
        return {component(part): self._file(part, scheme) for part in (f"dit-{task}", "t5", "clip")}

    def loaders(self, task: str, scheme: str | None) -> dict[str, Node]:
        """By component, the loader node of the file that `chosen` gives. One in another format than the scheme's takes its best kernel."""
        return {name: self._loader(name, file, scheme) for name, file in self.chosen(task, scheme).items()}

    def folders(self) -> dict[str, set[Path]]:
        """The folders of the user's files, by ComfyUI's folder type."""
        found: dict[str, set[Path]] = {}
        for part, files in [*self.quantized.items(), *((part, [file]) for part, file in self.floats.items())]:
            for file in files:
                if not file.small:
                    found.setdefault(COMPONENTS[component(part)].folder, set()).add(file.path.parent)
        if self.tokenizer:
            found.setdefault(COMPONENTS["t5"].folder, set()).add(self.tokenizer.parent)
        return found

    def _file(self, part: str, scheme: str | None) -> ModelFile:
        if scheme is None and part in self.floats:
            return self.floats[part]
        files = self.quantized[part]
        wanted = SCHEMES[scheme].format if scheme else None
        return next((file for file in files if file.format == wanted), files[0])

    def _loader(self, name: str, file: ModelFile, scheme: str | None) -> Node:
        if file.format is None:
            return float_loader(name, file.path.name)
        fits = scheme is not None and SCHEMES[scheme].format == file.format
        tokenizer = self.tokenizer.name if self.tokenizer and name == "t5" else None
        return quantized_loader(name, file.path.name, scheme if fits else "auto", tokenizer)


def prepare(options: argparse.Namespace, models: Path) -> Models:
    """Write the small models below `models` and look into the user's files. Raises DemoError or LightQuantError for a file that does not fit."""
    named = [_users(name, path) for name in COMPONENTS if (path := getattr(options, name))]
    quantized = {part: [file] for part, file in named}
    floats = {}
    if options.float_dit:
        part, floats[part] = _users("dit", options.float_dit, quantized=False)
        if part not in quantized:
            raise DemoError(f"{options.float_dit} is a {part.removeprefix('dit-')} model and {options.dit} is not: they can't be compared.")
    taken = {component(part) for part in quantized}
    for part, (draw, file_name) in SMALL.items():
        if component(part) not in taken:
            floats[part], *quantized[part] = _small(part, draw(), models / COMPONENTS[component(part)].folder / file_name)
    if "t5" not in taken:
        (models / TOKENIZER).parent.mkdir(parents=True, exist_ok=True)
        (models / TOKENIZER).write_bytes(small_models.spiece())
    return Models(quantized, floats, options.tokenizer)


def _small(part: str, tensors: small_models.Tensors, path: Path) -> list[ModelFile]:
    """The float file, then one in each format; all of the same bf16 weights, as Wan publishes them."""
    weights = {key: tensor.bfloat16() for key, tensor in tensors.items()}
    made = []
    for format_name, stored_as in STORED_AS.items():
        content = weights
        if format_name:
            content = small_models.quantized({key: tensor.float() for key, tensor in weights.items()}, component(part), format_name, torch.bfloat16)
        file = path.with_name(path.name.format(stored_as))
        made.append(ModelFile(small_models.save(content, file), format_name, small=True))
    return made


def _users(name: str, path: Path, quantized: bool = True) -> tuple[str, ModelFile]:
    """The part that a file of the user's is, and the file."""
    identity = identify(headers_in(str(path)))
    if identity is None or identity.component != name:
        found = f"a {identity.component}" if identity else "no model that LightQuant knows"
        raise DemoError(f"{path} should be a {name} and is {found}. Name another file.")
    if (identity.format is not None) != quantized:
        raise DemoError(f"{path} is {identity.format or 'not quantized'}; a {'quantized' if quantized else 'float'} file is needed here.")
    return (f"dit-{_task(path)}" if name == "dit" else name), ModelFile(path, identity.format, small=False)


def _task(path: Path) -> str:
    if path.suffix.lower() in SAFETENSORS:
        shapes = {key: entry["shape"] for key, entry in safetensors_header(str(path)).items() if key != "__metadata__"}
    else:
        shapes = {key: tensor.shape for key, tensor in open_pickled(str(path)).items()}
    channels = next((shape[1] for key, shape in shapes.items() if key.endswith("patch_embedding.weight")), 0)
    if channels not in TASK_OF_CHANNELS:
        raise DemoError(f"{path} takes {channels} latent channels. The demo knows Wan2.1's text-to-video (16) and image-to-video (36) models.")
    return TASK_OF_CHANNELS[channels]
