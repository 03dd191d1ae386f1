"""Where the files of a configuration lie: its paths, the model folder, or ComfyUI's own folders."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import ConfigError, DiscoveryError
from ..schemes import AUTO, SCHEMES
from .config import Configuration, Part
from .identity import identify_path
from .wan_folder import tokenizer_in
from .wan_search import find_in


@dataclass(frozen=True)
class Places:
    """Where a configuration's files may lie.

    folder: the model folder, "" for none.
    may_read: whether an absolute, normalised path may be looked at; it is asked before anything is.
    named: component (or "lora") and file name -> the files of that name in the folders that are searched anyway.
    search: component, format, expert -> the one checkpoint among ComfyUI's; raises DiscoveryError. None where there is no ComfyUI.
    """

    folder: str
    may_read: Callable[[str], bool]
    named: Callable[[str, str], Sequence[str]]
    search: Callable[[str, str, str | None], str] | None = None


@dataclass(frozen=True)
class Found:
    """path: where it lies, None if it was not found; how: how it was found, or why not, in words."""

    path: str | None
    how: str


@dataclass(frozen=True)
class LocatedPart:
    """scheme: the one to load it by: the configuration's, auto where a file is quantized that the configuration calls original, None for float."""

    part: Part
    file: Found
    scheme: str | None


@dataclass(frozen=True)
class Plan:
    """A configuration with its files; loras: one for each of the configuration's; tokenizer: path None means that it is looked for."""

    configuration: Configuration
    parts: tuple[LocatedPart, ...]
    loras: tuple[Found, ...]
    tokenizer: Found


def locate(configuration: Configuration, places: Places) -> Plan:
    """Find the files of a configuration. Nothing is raised: what is not found says why."""
    parts = tuple(_locate(part, configuration, places) for part in configuration.parts)
    loras = tuple(_resolve(lora.asked, "lora", configuration, places) for lora in configuration.loras)
    return Plan(configuration, parts, loras, _tokenizer(configuration, places))


def _locate(part: Part, configuration: Configuration, places: Places) -> LocatedPart:
    if part.refused:
        return LocatedPart(part, Found(None, part.refused), None)
    if part.asked:
        file = _resolve(part.asked, part.component, configuration, places)
        identity = identify_path(file.path) if file.path and not part.quantized else None
        return LocatedPart(part, file, AUTO if identity and identity.formats else part.scheme)
    return LocatedPart(part, _discover(part, places), part.scheme)


def _discover(part: Part, places: Places) -> Found:
    format_name = SCHEMES[part.scheme].format if part.scheme else None
    problems = []
    if places.folder:
        try:
            return Found(find_in(places.folder, part.component, format_name, part.expert), "in the model folder")
        except DiscoveryError as problem:
            problems.append(str(problem))
    if places.search and format_name:
        try:
            return Found(places.search(part.component, format_name, part.expert), "the one in ComfyUI's folders")
        except DiscoveryError as problem:
            problems.append(str(problem))
    return Found(None, " ".join(problems) or "neither the configuration nor a model folder says where it is")


def _tokenizer(configuration: Configuration, places: Places) -> Found:
    if configuration.tokenizer:
        found = _resolve(configuration.tokenizer, "", configuration, places)
        path = os.path.join(found.path, "spiece.model") if found.path and os.path.isdir(found.path) else found.path
        if path and os.path.isfile(path):
            return Found(path, found.how)
    instead = f"as there is no {configuration.tokenizer} here, " if configuration.tokenizer else ""
    path = tokenizer_in(places.folder)
    return Found(path, f"{instead}in the model folder") if path else Found(None, f"{instead}looked for as the T5 loader does")


def _resolve(asked: str, kind: str, configuration: Configuration, places: Places) -> Found:
    """A path of the configuration: relative to the file, then to the model folder; else the only file of its name in the folders searched."""
    bases = {"relative to the configuration": os.path.dirname(os.path.abspath(configuration.path)), "in the model folder": places.folder}
    if os.path.isabs(asked):
        bases = {"by its path": os.sep}
    readable = {how: path for how, base in bases.items() if base and places.may_read(path := os.path.abspath(os.path.join(base, asked)))}
    for how, path in readable.items():
        if os.path.exists(path):
            return Found(path, how)
    # Configurations are written on Windows too; a name with a drive or a share in front is not looked at as a path here.
    name = re.split(r"[\\/]", asked.rstrip("\\/"))[-1]
    same = list(places.named(kind, name)) if kind and name else []
    if len(same) == 1:
        return Found(same[0], f"by its name, as there is no {asked} here")
    if same:
        return Found(None, f"there is no {asked} here, and {len(same)} files have its name: {', '.join(same)}")
    if not readable:
        return Found(None, f"{asked} leads out of the folders that may be read, and no model there has its name")
    return Found(None, f"there is no {asked} relative to the configuration or the model folder, and no model of its name")


def required(found: Found, what: str) -> str:
    """The path, where there must be one. Raises ConfigError."""
    if found.path is None:
        raise ConfigError(f"LightQuant found no file for {what}: {found.how}. Put it there, or correct the path in the configuration.")
    return found.path
