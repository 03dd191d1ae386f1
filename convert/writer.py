"""A safetensors file written from front to back: its header is known before its first tensor, so no tensor waits in memory for another."""

import json
import os
import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import torch

from .overlap import Behind
from .stored import Stored

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip

ALIGNMENT = 8
"""safetensors' own writer pads its header to this, and readers that map tensors count on it."""

FLUSHED = 1 << 28
"""After so many bytes the disk is made to write them, while the next ones come; else all that the system has kept waits for the end."""


def entry_of(stored: Stored, begin: int) -> dict[str, object]:
    """What a header says of a tensor whose bytes begin there, counted from the end of the header."""
    return {"dtype": _NAMES[stored.dtype], "shape": list(stored.shape), "data_offsets": [begin, begin + stored.nbytes]}


def frame_of(entries: Sequence[tuple[str, Stored]], metadata: Mapping[str, str]) -> bytes:
    """What stands before the tensors of a file: the header and its length."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for key, stored in entries:
        header[key] = entry_of(stored, offset)
        offset += stored.nbytes
    text = json_of(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def bound_of(entries: Sequence[tuple[str, Stored]], largest: int) -> int:
    """At most so many bytes do these tensors and what the header says of them take in a file of `largest` bytes, wherever they stand in it."""
    lines = (json_of({key: {**entry_of(stored, 0), "data_offsets": [largest, largest]}}) for key, stored in entries)
    return sum(stored.nbytes for _, stored in entries) + sum(len(line.encode()) - 1 for line in lines)  # less two braces, and a comma


def json_of(header: Mapping[str, object]) -> str:
    """A header, or a part of one, as it is written."""
    return json.dumps(header, ensure_ascii=False, separators=(",", ":"))


class SafetensorsWriter:
    """Writes the tensors of one file in the order in which they were announced; a context manager that leaves a whole file or raises."""

    def __init__(self, path: str, entries: Sequence[tuple[str, Stored]], metadata: Mapping[str, str]):
        self._path, self._entries, self._written = path, list(entries), 0
        self._frame = frame_of(self._entries, metadata)
        self._file: BinaryIO | None = None
        self._to_disk, self._waiting = Behind(), 0

    def __enter__(self) -> "SafetensorsWriter":
        self._file = open(self._path, "wb")
        self._to_disk.__enter__()
        self._file.write(self._frame)
        return self

    def write(self, key: str, tensor: torch.Tensor) -> None:
        """The next tensor; its key, dtype and shape must be the announced ones."""
        expected, stored = self._entries[self._written]
        if (key, tensor.dtype, tuple(tensor.shape)) != (expected, *stored):
            raise ValueError(f"{key} ({tensor.dtype} {list(tensor.shape)}) was not announced as the next tensor, but {expected} {stored}")
        self._file.write(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
        self._written += 1
        self._waiting += tensor.nbytes
        if self._waiting >= FLUSHED:
            self._to_disk(os.fsync, self._file.fileno())
            self._waiting = 0

    def __exit__(self, kind, problem, trace) -> None:
        with self._file:
            self._to_disk.__exit__(kind, problem, trace)
            if kind is None:
                if self._written != len(self._entries):
                    raise ValueError(f"{len(self._entries) - self._written} announced tensors were not written")
                self._file.flush()
                os.fsync(self._file.fileno())
