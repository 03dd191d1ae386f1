"""A conversion as the browser asks for it: a float file of ComfyUI's folders into a new quantized one beside it, computed on the CPU.

The GPU is left to graphs: what one takes beside a graph that runs would not be in ComfyUI's account.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import torch
from safetensors.torch import load_file

from ..convert.for_comfyui import add_tokenizer
from ..convert.for_lightx2v import name_for_lightx2v
from ..convert.lora import Lora, read_lora
from ..convert.names import ORIGINAL, rename_for
from ..convert.plan import Plan, plan_of
from ..convert.run import Progress, check_target, run, shapes_of
from ..convert.settings import COMFYUI, LIGHTX2V, SINGLE, Settings
from ..convert.source import Source
from ..errors import ConvertError
from ..formats import ABSMAX
from ..loaders.checkpoint import without_prefix
from ..loaders.components import COMPONENTS
from ..loaders.files import opener
from ..loaders.scaled import bare_name
from ..loaders.storage import storage_of
from .folders import check_listed, full_path, name_of, tokenizer_paths
from .lora_folder import check_lora_listed, lora_path
from .targets import target_name, target_path
from .unfinished import noted


@dataclass(frozen=True)
class Conversion:
    """What is asked for. checkpoint: a name from folders.checkpoint_names; filename: as for targets.target_path; names: one of convert.names.RENAMES.

    loras: names from lora_folder.lora_names, and what each is multiplied by; the rest as for convert.settings.
    """

    component: str
    checkpoint: str
    format: str
    filename: str
    layout: str = SINGLE
    reader: str = LIGHTX2V
    scaling: str = ABSMAX
    dtype: str | None = None
    keep: tuple[str, ...] = ()
    names: str = ORIGINAL
    loras: tuple[tuple[str, float], ...] = ()


class Prepared(NamedTuple):
    """A conversion that can begin. path: of what it writes; target: what that is called in ComfyUI's folder; loras: as for convert.run."""

    asked: Conversion
    source: Source
    plan: Plan
    loras: Mapping[str, Lora]
    path: str
    target: str


def prepare(asked: Conversion) -> Prepared:
    """Look at everything that can be known beforehand; nothing is written.

    Raises CheckpointError, ConvertError or LoraError where the source can't be converted so, or the target is no place for it, or taken.
    """
    check_listed(asked.component, asked.checkpoint)
    path = target_path(asked.component, asked.filename, asked.layout)
    if os.path.lexists(path):
        raise ConvertError(f"{path} is there already, and nothing is replaced. Choose another name.")
    source = Source(full_path(asked.component, asked.checkpoint))
    if asked.reader == COMFYUI:
        add_tokenizer(source, files=tokenizer_paths())
    else:
        name_for_lightx2v(source)
    name = os.path.basename(path)
    settings = Settings(asked.format, asked.layout, asked.reader, asked.keep, asked.dtype, asked.scaling)
    rename = rename_for(asked.names, without_prefix(source.headers))
    stem = os.path.splitext(name)[0] if asked.layout == SINGLE else name
    plan = plan_of(source.path, source.headers, settings, stem, lambda key: rename(bare_name(key)))
    if plan.component != asked.component:
        found, wanted = (COMPONENTS[component].title for component in (plan.component, asked.component))
        raise ConvertError(f"{asked.checkpoint} is a {found}, where a {wanted} is needed. Pick it as that, or pick another file.")
    if not any(output.format for output in plan.outputs):
        why = "; ".join(f"{key}: {why}" for key, why in [*plan.unfit.items()][:1])
        raise ConvertError(f"No weight of {asked.checkpoint} can be stored as {asked.format}{why and f' ({why})'}. Take another format.")
    loras = _loras(asked, shapes_of(source, plan))
    check_target(plan, path, force=False)
    return Prepared(asked, source, plan, loras, path, target_name(asked.component, path))


def _loras(asked: Conversion, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Lora]:
    """The LoRAs by what the file's metadata calls them. shapes: of the tensors that they have to fit."""
    loras = {}
    for name, strength in asked.loras:
        check_lora_listed(name)
        lora = read_lora(lora_path(name), strength, None, opener(lambda path: (load_file(path), {})))
        lora.check(shapes, asked.checkpoint)
        if f"{name}:{strength:g}" in loras:
            raise ConvertError(f"The LoRA {name} is asked for twice. Name it once, with both strengths together.")
        loras[f"{name}:{strength:g}"] = lora
    return loras


def convert(prepared: Prepared, progress: Progress) -> dict[str, object]:
    """Write it; what there is then. Raises ConvertError, and what the progress raises; nothing is left then that was not there before."""
    asked, path = prepared.asked, prepared.path
    try:
        with _folder_of(path), noted(asked.component, path), torch.inference_mode():
            run(prepared.source, prepared.plan, path, prepared.loras, progress=progress)
    except OSError as problem:
        raise ConvertError(f"{path} could not be written: {problem.strerror or problem}. Nothing of it is left.") from problem
    size = sum(os.path.getsize(file) for file in storage_of(path).files)
    return {"file": name_of(asked.component, path), "bytes": size, "format": prepared.plan.format, "reader": asked.reader}


@contextmanager
def _folder_of(path: str) -> Iterator[None]:
    """Makes the folders that a path needs; those it made go again where the block raises."""
    folder, made = os.path.dirname(path), []
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:  # a disk that is not there has no end
        made.append(folder)
        folder = os.path.dirname(folder)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # something else is in it by now
                os.rmdir(folder)
        raise
