"""What a loader with given values would do, for the browser: from headers and what is known, by the loaders' own decisions (deciding.py)."""

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, TypeVar

from ..convert.for_comfyui import carried
from ..convert.names import into_original
from ..convert.settings import Settings
from ..convert.source import Source
from ..errors import CheckpointError, KernelError, LightQuantError
from ..formats import FORMATS, mixture
from ..kernels import best_variant, select
from ..loaders import Checkpoint
from ..loaders.checkpoint import without_prefix
from ..loaders.components import component_of
from ..loaders.foreign import describe_foreign
from ..loaders.identity import identify
from ..loaders.outline import outline
from ..loaders.storage import headers, paths_of, storage_of
from ..loaders.tokenizer import beside, find_tokenizer
from ..reports.families import family_of
from ..reports.notes import notes_on
from ..schemes import SCHEMES
from . import quantizing
from .deciding import compute_dtype, device_of, selections_for, settings_for, uses_of, weight_bytes
from .folders import check_listed, check_tokenizer_listed, name_of, tokenizer_paths
from .pair_files import requested_pair
from .record import kernels_of, why_of
from .request import FIND, SUBSTITUTE, Request, chosen, requested
from .settings import preferred_kernels

_ABOUT = ("file", "format", "format_note", "bytes", "model", "weights_vram", "chosen", "problem")
"""What is said of a file, each None where it can't be known."""

RUNS, REPLACED, CANNOT = "runs", "replaced", "cannot"

_FLOAT = "not quantized; a scheme quantizes it while it loads"

Stamp = tuple[tuple[str, int, int], ...]

Asked = TypeVar("Asked")


class _File(NamedTuple):
    """What the headers of a checkpoint say. source: where it is a float model of the component, which the loader quantizes."""

    facts: dict[str, object]
    formats: tuple[str, ...]
    source: Source | None


def choice(component: str, checkpoint: str, scheme: str, dtype: str, missing_kernel: str, tokenizer: str = FIND) -> dict:
    """What a loader of a component would do, as /lightquant/choice answers it. tokenizer: of the T5 loader, its input of that name."""

    def ask() -> Request:
        if chosen(tokenizer):
            check_tokenizer_listed(tokenizer)
        return requested(component, scheme, _listed(component, checkpoint), dtype, missing_kernel, tokenizer)

    request, problem = _asked(ask)
    about, formats = _about(request, problem)
    return {**about, "schemes": _schemes(component, formats, missing_kernel)}


def pair_choice(high_noise: str, low_noise: str, scheme: str, dtype: str, missing_kernel: str) -> dict:
    """The same for the pair's loader: the high-noise expert's answer, and in it what is said of the low-noise one."""
    names = (high_noise, low_noise)
    requests, problem = _asked(lambda: requested_pair(scheme, *(_listed("dit", name) for name in names), dtype, missing_kernel))
    high, low = requests or (None, None)
    about, formats = _about(high, problem)
    return {**about, "low_noise": _about(low, problem)[0], "schemes": _schemes("dit", formats, missing_kernel)}


def _listed(component: str, name: str) -> str:
    if chosen(name):
        check_listed(component, name)
    return name


def _asked(ask: Callable[[], Asked]) -> tuple[Asked | None, str | None]:
    """What the loader would be asked for, or why it would refuse."""
    try:
        return ask(), None
    except (LightQuantError, OSError) as problem:
        return None, str(problem)


def _about(request: Request | None, problem: str | None) -> tuple[dict[str, object], Collection[str]]:
    """What is said of the request's file, and the formats whose schemes fit it: all where there is none, or where it is quantized to any of them."""
    said: dict[str, object] = {**dict.fromkeys(_ABOUT), "problem": problem}
    formats: Collection[str] = tuple(FORMATS)
    if request is None:
        return said, formats
    try:
        said["file"] = name_of(request.component, request.path)
        stamp = _stamp(paths_of(request.path))
        file = _file(request.path, request.component, stamp)
        formats = formats if file.source else file.formats
        said.update(file.facts)
        settings = settings_for(request, checking=False) if file.source else None
        checkpoint = _outline(request.path, request.component, settings, stamp)
        said["weights_vram"] = weight_bytes(checkpoint, compute_dtype(request, checkpoint))
        uses = uses_of(checkpoint, selections_for(request, checkpoint, checking=False))
        if request.component == "t5":
            _check_tokenizer(request, settings, stamp)
        said["chosen"] = {"scheme": request.scheme, "kernel": kernels_of(uses), "why": why_of(uses)}
    except (LightQuantError, OSError) as found:
        said["problem"] = str(found)
    return said, formats


def _stamp(files: Iterable[str]) -> Stamp:
    """Changes when one of the files does."""
    return tuple((file, stat.st_size, stat.st_mtime_ns) for file in files if (stat := os.stat(file)))


@lru_cache(maxsize=64)
def _file(path: str, component: str, stamp: Stamp) -> _File:
    tensors = headers(path)
    bare, identity = without_prefix(tensors), identify(tensors)
    rename = into_original(bare)
    bare = {rename(key): header for key, header in bare.items()}
    kind, source = component_of(bare), quantizing.float_source(path, component)
    formats = identity.formats if identity and identity.component == component else ()
    facts = {
        "bytes": sum(os.path.getsize(file) for file in storage_of(path).files),
        "format": mixture(formats),
        "format_note": _FLOAT if source else "; ".join(notes_on(bare, len(tensors) - len(bare))),
        "model": family_of(kind.name, bare).name if kind else describe_foreign(bare),
    }
    return _File(facts, formats, source)


@lru_cache(maxsize=64)
def _outline(path: str, component: str, settings: Settings | None, stamp: Stamp) -> Checkpoint:
    """What the loader would read, or make of a float model with these settings."""
    if settings is None:
        return outline(path, component)
    return quantizing.outline(_file(path, component, stamp).source, component, settings)


def _check_tokenizer(request: Request, settings: Settings | None, stamp: Stamp) -> None:
    """Raise CheckpointError where the loader would find no tokenizer."""
    files = tuple(tokenizer_paths())
    others = _stamp(filter(os.path.isfile, dict.fromkeys([*filter(None, [request.tokenizer]), *beside(request.path), *files])))
    problem = _tokenizer_problem(request.path, settings, stamp, request.tokenizer, files, others)
    if problem:
        raise CheckpointError(problem)


@lru_cache(maxsize=64)
def _tokenizer_problem(path: str, settings: Settings | None, stamp: Stamp, picked: str | None, files: tuple[str, ...], others: Stamp) -> str | None:
    """Why the loader finds no tokenizer. others: of all the files that may hold it."""
    checkpoint = _outline(path, "t5", settings, stamp)
    if checkpoint.spiece is not None:
        checkpoint = replace(checkpoint, spiece=carried(path))
    try:
        find_tokenizer(checkpoint, picked, files, carried)
    except CheckpointError as problem:
        return str(problem)
    return None


def _schemes(component: str, formats: Collection[str], missing_kernel: str) -> list[dict]:
    may_substitute, preferred = missing_kernel == SUBSTITUTE, preferred_kernels()
    return [_scheme(name, component, formats, may_substitute, preferred) for name in SCHEMES]


def _scheme(name: str, component: str, formats: Collection[str], may_substitute: bool, preferred: tuple[str, ...]) -> dict:
    """What becomes of a scheme here, whatever the file. checked: whether the kernel that runs then has been checked, or is only expected to run."""
    scheme, device = SCHEMES[name], device_of(component)
    row = {"name": name, "format": scheme.format, "fits": scheme.format in formats, "hardware": scheme.runs_on}
    try:
        selection = select(name, scheme.format, device, may_substitute, preferred, checking=False)
    except KernelError:
        return {**row, "state": CANNOT, "kernel": None, "checked": True, "why": best_variant(name, device, checking=False)[1]}
    state = RUNS if selection.kernel.name == name else REPLACED
    return {**row, "state": state, "kernel": selection.kernel.name, "checked": selection.kernel.foreseen(device)[0] is True, "why": selection.why}
