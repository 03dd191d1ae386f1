"""How a checkpoint lies on disk: one file, or a folder of parts that an index or the parts' names hold together."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

import torch

from ..errors import CheckpointError
from .files import SAFETENSORS, Header, headers_in

Opener = Callable[[str], tuple[dict[str, torch.Tensor], dict[str, str]]]
"""Path -> tensors (memory-mapped where the file allows it) and the file's metadata."""

FILE, SPLIT, CHUNKED, SHARDED = "one file", "split by block", "chunked", "sharded"

INDEX = ".safetensors.index.json"
CONFIG = "config.json"
_REST = "non_block"
_BLOCK = re.compile(r"block_(\d+)")
_MOST_PARTS = 10_000
"""More than any checkpoint has. Names are free to have any number, and the parts that they promise are listed."""

_PART_NAMES = {SPLIT: re.compile(rf"{_BLOCK.pattern}|{_REST}"), CHUNKED: re.compile(r".+_part\d+"), SHARDED: re.compile(r".+-\d{5}-of-\d{5}")}
"""Kind of folder -> how the files in it are named, without .safetensors: LightX2V's two, and the shards that models are published in."""

_Entry = TypeVar("_Entry", torch.Tensor, Header)


class Storage(NamedTuple):
    """path: the file or folder; kind: one of the four above; files: the full paths of its parts; index: key -> part's name, where there is one."""

    path: str
    kind: str
    files: tuple[str, ...]
    index: Mapping[str, str]


def part_kind(name: str) -> str | None:
    """The kind of folder that a file of this name is a part of; None for a file that stands alone."""
    stem, end = os.path.splitext(name)
    if end.lower() not in SAFETENSORS:
        return None
    return next((kind for kind, pattern in _PART_NAMES.items() if pattern.fullmatch(stem)), None)


def fold_parts(names: Iterable[str]) -> set[str]:
    """The names of files in and under a folder, with the parts of a checkpoint replaced by the folder they are in ("." for the folder itself).

    A part that is alone in its folder stays a file: a checkpoint in parts has more than one, so only the name looks like one.
    """
    folders = {name: os.path.dirname(name) if part_kind(os.path.basename(name)) else None for name in names}
    parts = Counter(folders.values())
    return {name if folder is None or parts[folder] == 1 else folder or os.curdir for name, folder in folders.items()}


def storage_of(path: str) -> Storage:
    """How the checkpoint at path is stored. Raises CheckpointError where a folder holds none, several, or only some of its parts."""
    if not os.path.isdir(path):
        return Storage(path, FILE, (path,), {})
    try:
        names = sorted(os.listdir(path))
    except OSError as problem:
        raise _error(path, f"{problem.strerror or problem}. See that it may be read") from problem
    indexes = [name for name in names if name.endswith(INDEX)]
    parts = [name for name in names if part_kind(name)]
    if len(indexes) > 1:
        raise _error(path, f"it holds several checkpoints ({', '.join(indexes)}), which are never merged. Give each a folder of its own")
    index = _read_index(os.path.join(path, indexes[0])) if indexes else {}
    if not index and not parts:
        return _only_file(path, names)
    wanted = sorted(set(index.values())) or parts
    absent = [name for name in wanted if name not in names]
    if absent:
        raise _error(path, f"{indexes[0]} names {_some(absent)}, which {'is' if len(absent) == 1 else 'are'} not there. Fetch the folder again")
    kinds = {part_kind(name) or SHARDED for name in wanted}
    sets = {re.sub(r"_part\d+$|-\d{5}-of-", "*", os.path.splitext(name)[0]) for name in parts if part_kind(name) != SPLIT}
    if len(kinds) > 1 or len(sets) > 1:
        raise _error(path, f"it holds parts of several checkpoints ({_some(parts)}), which are never merged. Give each a folder of its own")
    unknown = sorted(set(parts) - set(wanted))
    if unknown:
        raise _error(path, f"{indexes[0]} does not name {_some(unknown)}, so the two are not of one checkpoint. Fetch the folder again")
    kind = kinds.pop()
    beyond = [name for name in wanted if part_kind(name) and max(map(int, re.findall(r"\d+(?=\D*$)", name)), default=0) >= _MOST_PARTS]
    if beyond:
        raise _error(path, f"it holds {_some(beyond)}, where no checkpoint has {_MOST_PARTS} parts. Fetch the folder again")
    absent = _absent(kind, [os.path.splitext(name)[0] for name in wanted], bool(index))
    if absent:
        raise _error(path, f"{_some(absent)} {'is' if len(absent) == 1 else 'are'} absent. Fetch the folder again")
    return Storage(path, kind, tuple(os.path.join(path, name) for name in wanted), index)


def headers(path: str) -> dict[str, Header]:
    """Dtype, shape and place of every tensor of a file or folder, read from the headers alone."""
    return _joined(storage_of(path), headers_in)


def open_storage(path: str, open_file: Opener) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a file or of all parts of a folder, as `open_file` gives them (nothing is copied), and their metadata."""
    metadata: dict[str, str] = {}

    def tensors_of(file: str) -> dict[str, torch.Tensor]:
        tensors, more = open_file(file)
        metadata.update(more or {})
        return tensors

    return _joined(storage_of(path), tensors_of), metadata


def paths_of(path: str) -> tuple[str, ...]:
    """The files behind a checkpoint that may be gone or incomplete, its index and configuration too: for noticing changes, without an error."""
    about: list[str] = []
    try:
        if os.path.isdir(path):
            about = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(INDEX) or name == CONFIG]
        return (*storage_of(path).files, *about)
    except (CheckpointError, OSError):
        return (path, *about)


def _joined(storage: Storage, read: Callable[[str], Mapping[str, _Entry]]) -> dict[str, _Entry]:
    owner: dict[str, str] = {}
    joined: dict[str, _Entry] = {}
    for file in storage.files:
        part, name = read(file), os.path.basename(file)
        twice = sorted(owner.keys() & part.keys())
        if twice:
            raise _error(storage.path, f"{owner[twice[0]]} and {name} both hold {_some(twice)}. Fetch the folder again")
        owner.update(dict.fromkeys(part, name))
        joined.update(part)
    absent = sorted(key for key in storage.index if key not in owner)
    if absent:
        where = storage.index[absent[0]]
        raise _error(storage.path, f"its index promises {_some(absent)} in {where}, which does not hold it. Fetch the folder again")
    return joined


def _read_index(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            weight_map = json.load(file)["weight_map"]
        files = set(weight_map.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise _error(path, f"it is no index of a checkpoint ({problem or type(problem).__name__}). Fetch the folder again") from problem
    outside = sorted(str(name) for name in files if not isinstance(name, str) or name != os.path.basename(name) or "\\" in name)
    if outside or not files:
        raise _error(path, f"it names {_some(outside) or 'no file'}, where files beside it are needed. Fetch the folder again")
    return weight_map


def _only_file(path: str, names: Iterable[str]) -> Storage:
    """A folder such as LightX2V's high_noise_model/ may hold its checkpoint as one file."""
    files = [name for name in names if name.lower().endswith(SAFETENSORS)]
    if len(files) == 1:
        return Storage(path, FILE, (os.path.join(path, files[0]),), {})
    if files:
        raise _error(path, f"it holds several checkpoints ({_some(files)}), which are never merged. Pick one of them")
    raise _error(path, "there is no .safetensors file in this folder. Pick the folder that holds the checkpoint's parts")


def _absent(kind: str, stems: list[str], is_indexed: bool) -> list[str]:
    """The parts that the names of the others promise; without an index, that of what is in no block promises a block."""
    if kind == SPLIT:
        last = max((int(found[1]) for stem in stems if (found := _BLOCK.match(stem))), default=-1 if is_indexed else 0)
        promised = [f"block_{number}" for number in range(last + 1)] + [_REST]
    elif kind == CHUNKED:
        name = stems[0].rpartition("_part")[0]
        numbers = [int(stem.rpartition("_part")[2]) for stem in stems]
        promised = [f"{name}_part{number}" for number in range(min(1, *numbers), max(numbers) + 1)]
    else:
        name, count = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})", stems[0]).groups() if re.search(r"-of-\d{5}$", stems[0]) else (None, "0")
        promised = [f"{name}-{number:05}-of-{count}" for number in range(1, int(count) + 1)]
    return [f"{stem}.safetensors" for stem in promised if stem not in stems]


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _error(path: str, problem: str) -> CheckpointError:
    return CheckpointError(f"LightQuant can't load {path}: {problem}.")
