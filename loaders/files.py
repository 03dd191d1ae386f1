"""Opening files safely: what is damaged, foreign or dangerous is refused before anything is built from it."""

import json
import os
import pickle
import struct
from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import torch

from ..errors import CheckpointError

SAFETENSORS = (".safetensors", ".sft")
PICKLED = (".pth", ".pt", ".bin", ".ckpt")

WRAPPERS = ("state_dict", "model", "module")
"""Keys under which training programs keep the tensors."""

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""safetensors' dtype names that occur in model files; any other is reported as uint8, which no format of the pack uses."""

_LONGEST = 100_000_000
"""Bytes of a header, as safetensors itself has it."""


class Header(NamedTuple):
    """A tensor as its file announces it; offset: where its bytes begin in the file, or None where only the tensor itself can be read.

    unknown: the file's own name for a dtype that the pack does not know, else "".
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    nbytes: int
    file: str
    offset: int | None
    unknown: str = ""


def opener(open_safetensors: Callable) -> Callable:
    """An opener for every kind of file the pack reads, which leaves .safetensors to the given function once their frame has been checked."""

    def open_file(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        _check_readable(path)
        if path.lower().endswith(SAFETENSORS):
            safetensors_header(path)
            return open_safetensors(path)
        return open_pickled(path), {}

    return open_file


def headers_in(path: str) -> dict[str, Header]:
    """The header of every tensor in one file, without reading the tensors."""
    _check_readable(path)
    if not path.lower().endswith(SAFETENSORS):
        return {key: Header(tensor.dtype, tuple(tensor.shape), tensor.nbytes, path, None) for key, tensor in open_pickled(path).items()}
    content, first_byte = _safetensors_frame(path)
    return {
        key: Header(
            _DTYPES.get(entry["dtype"], torch.uint8), tuple(entry["shape"]), entry["data_offsets"][1] - entry["data_offsets"][0],
            path, first_byte + entry["data_offsets"][0], "" if entry["dtype"] in _DTYPES else entry["dtype"],
        )
        for key, entry in content.items() if key != "__metadata__"
    }  # fmt: skip


def safetensors_header(path: str) -> dict[str, dict]:
    """The header of a safetensors file: key -> dtype, shape, data_offsets. Raises CheckpointError unless the file is as long as it says."""
    return _safetensors_frame(path)[0]


def _safetensors_frame(path: str) -> tuple[dict[str, dict], int]:
    """The header, and where the tensors' bytes begin."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, _LONGEST):
            raise _damaged(path, "it is not a safetensors file, or only its beginning is there")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as problem:
            raise _damaged(path, f"its header can't be read ({problem})") from problem
    entries = {key: entry for key, entry in header.items() if key != "__metadata__"} if isinstance(header, dict) else {"": header}
    if not all(map(_is_entry, entries.values())) or not _is_metadata(header.get("__metadata__")):
        raise _damaged(path, "its header is not that of a safetensors file")
    end = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if end > size:
        raise _damaged(path, f"it ends after {size} bytes, where its header promises {end}")
    _check_places(path, entries)
    return header, 8 + length


def _is_metadata(found: object) -> bool:
    """Whether it is what a header may say of the whole file; it need not say anything."""
    return found is None or (isinstance(found, dict) and all(isinstance(value, str) for value in found.values()))


def _is_entry(entry: object) -> bool:
    """Whether it says of a tensor what a header says, in the types in which it does."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not all(isinstance(numbers, list) and all(type(number) is int and number >= 0 for number in numbers) for numbers in (shape, offsets)):
        return False
    return len(offsets) == 2 and offsets[0] <= offsets[1]


def _check_places(path: str, entries: Mapping[str, dict]) -> None:
    """Raise CheckpointError where a tensor has more or fewer bytes than its shape takes, or shares some with another."""
    before = 0
    for key, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is not None and end - begin != prod(entry["shape"]) * dtype.itemsize:
            raise _damaged(path, f"its header gives {key} {end - begin} bytes, where its shape takes {prod(entry['shape']) * dtype.itemsize}")
        if begin < before:
            raise _damaged(path, f"its header has the bytes of {key} begin within those of another tensor")
        before = end


def open_pickled(path: str) -> dict[str, torch.Tensor]:
    """The tensors of a torch.save file, memory-mapped. Nothing but tensors and plain containers is ever unpickled."""
    load: Callable = torch.load
    try:
        try:
            content = load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as problem:
            if "mmap" not in str(problem):
                raise
            content = load(path, map_location="cpu", weights_only=True)  # files from before torch 1.6 can't be mapped
    except pickle.UnpicklingError as problem:
        raise CheckpointError(
            f"LightQuant refuses {path}: it holds more than tensors, and loading it would run code from the file "
            f"({str(problem).strip().splitlines()[0]}). Get the file from a source you trust, as .safetensors if there is one."
        ) from problem
    except Exception as problem:  # on a damaged file the unpickler was seen to raise IndexError and KeyError too
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise _damaged(path, f"torch can't read it ({reason})") from problem
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"LightQuant can't load {path}: it holds a {type(content).__name__}, where a dictionary of tensors is needed.")
    others = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, torch.Tensor))]
    if others:
        names = ", ".join(others[:5])
        raise CheckpointError(f"LightQuant can't load {path}: these of its entries are no tensors with a name: {names}. Pick a model file.")
    return dict(content)


def _check_readable(path: str) -> None:
    if not os.path.isfile(path):
        raise CheckpointError(f"LightQuant can't load {path}: there is no such file. Pick one from the list, or refresh the list (R).")
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as problem:
        raise CheckpointError(f"LightQuant can't load {path}: {problem.strerror or problem}. See that it may be read.") from problem
    if not magic:
        raise _damaged(path, "it is empty")
    if magic == b"GGUF":
        raise CheckpointError(
            f"LightQuant can't load {path}: it is a GGUF file. Load it with a GGUF loader, or pick one of LightX2V's fp8 or int8 files."
        )
    if not path.lower().endswith(SAFETENSORS + PICKLED):
        raise CheckpointError(f"LightQuant can't load {path}: it is neither .safetensors nor .pth. Pick a model file.")


def _damaged(path: str, problem: str) -> CheckpointError:
    return CheckpointError(f"LightQuant can't load {path}: {problem}. The file is damaged or its download was cut off: fetch it again.")
