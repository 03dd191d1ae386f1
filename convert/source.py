"""The checkpoint that is converted: its headers, its tensors one at a time, and whether it stayed what it was."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import torch

from ..errors import ConvertError
from ..loaders.files import Header, open_pickled
from ..loaders.storage import headers, paths_of
from . import pinned

_PIECE, _READERS = 1 << 25, 4
"""So many bytes of a tensor does a thread read at once, and so many threads there are."""

Shaped = Callable[[str, torch.Tensor], torch.Tensor]
"""Gives a tensor the shape that it has under a key."""


class Source:
    """A float checkpoint.

    headers: of every tensor, by key.
    """

    def __init__(self, path: str):
        self.path = path
        self._state = _state(path)
        self.headers: Mapping[str, Header] = headers(path)
        self._open: dict[str, dict[str, torch.Tensor]] = {}
        self._added: dict[str, torch.Tensor] = {}
        self._parts: Mapping[str, tuple[str, ...]] = {}
        self._own: Mapping[str, Header] = {}
        self._shaped: Shaped | None = None

    def add(self, key: str, tensor: torch.Tensor) -> None:
        """A tensor that is written as if the checkpoint had it; it takes the place of one that has its key."""
        self._added[key] = tensor
        self.headers = {**self.headers, key: Header(tensor.dtype, tuple(tensor.shape), tensor.nbytes, self.path, None)}

    def put_together(self, parts: Mapping[str, tuple[str, ...]], shaped: Shaped) -> None:
        """From now on have other keys. parts: a new key -> the file's keys whose outputs stand one behind the other in it; shaped: its new shape."""
        self._own, self._parts, self._shaped = self.headers, parts, shaped
        self.headers = {key: self._header_of(key) for key in parts}

    def _header_of(self, key: str) -> Header:
        own = [self._own[part] for part in self._parts[key]]
        rows = sum(header.shape[0] for header in own) if len(own) > 1 else None
        shape = own[0].shape if rows is None else (rows, *own[0].shape[1:])
        shape = tuple(self._shaped(key, torch.empty(shape, device="meta")).shape)
        return Header(own[0].dtype, shape, sum(header.nbytes for header in own), own[0].file, None)

    def read(self, key: str, device: str = "cpu") -> torch.Tensor:
        """One tensor in host memory of its own, from which the device copies fast."""
        if key in self._added:
            return self._added[key]
        if key not in self._parts:
            return self._read(key, self.headers[key], device)
        tensors = [self._read(part, self._own[part], device) for part in self._parts[key]]
        return self._shaped(key, torch.cat(tensors) if len(tensors) > 1 else tensors[0])

    def _read(self, key: str, header: Header, device: str) -> torch.Tensor:
        """Mapping the whole file, as safetensors' reader does, asks the system for the file's size of memory, which it may refuse."""
        if header.offset is None:
            return self._pickled(header.file)[key]
        buffer = pinned.empty((header.nbytes,), torch.uint8, device)
        try:
            is_whole = _fill(memoryview(buffer.numpy()), header.file, header.offset)
        except OSError as problem:
            raise ConvertError(f"{header.file} could not be read: {problem.strerror or problem}. Nothing was written.") from problem
        if not is_whole:
            raise ConvertError(f"{header.file} ends before {key} does: it was changed while it was converted. Nothing was written.")
        return buffer.view(header.dtype).reshape(header.shape)

    def _pickled(self, file: str) -> dict[str, torch.Tensor]:
        if file not in self._open:
            self._open = {file: open_pickled(file)}
        return self._open[file]

    def check_unchanged(self) -> None:
        """Raise ConvertError where a file was changed since it was opened: what was read may be of two models."""
        now = _state(self.path)
        changed = [path for path in {**self._state, **now} if self._state.get(path) != now.get(path)]
        if changed:
            raise ConvertError(f"{changed[0]} was changed while it was converted. Nothing was written; start again once it is whole.")


def _fill(buffer: memoryview, path: str, offset: int) -> bool:
    """Whether the file has as many bytes there as the buffer. One thread copies from the system's cache slower than a disk can be."""

    def fill(start: int) -> bool:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset + start)
            left = buffer[start : start + _PIECE]
            while left and (count := file.readinto(left)):
                left = left[count:]
            return not left

    starts = range(0, len(buffer), _PIECE)
    if len(starts) < 2:
        return all(map(fill, starts))
    with ThreadPoolExecutor(_READERS, "lightquant-read") as readers:
        return all(readers.map(fill, starts))


def _state(path: str) -> dict[str, tuple[int, int]]:
    stats = {file: os.stat(file) for file in paths_of(path) if os.path.exists(file)}
    return {file: (stat.st_size, stat.st_mtime_ns) for file, stat in stats.items()}
