"""The checkpoint that is converted: its headers, its tensors one at a time, and whether it stayed what it was."""

import os
from collections.abc import Mapping
from io import RawIOBase

import torch

from ..errors import ConvertError
from ..loaders.files import Header, open_pickled
from ..loaders.storage import headers, paths_of


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

    def add(self, key: str, tensor: torch.Tensor) -> None:
        """A tensor that is written as if the checkpoint had it; it takes the place of one that has its key."""
        self._added[key] = tensor
        self.headers = {**self.headers, key: Header(tensor.dtype, tuple(tensor.shape), tensor.nbytes, self.path, None)}

    def read(self, key: str) -> torch.Tensor:
        """One tensor in memory of its own.

        Mapping the whole file, as safetensors' reader does, asks the system for the file's size of memory, which it may refuse.
        """
        if key in self._added:
            return self._added[key]
        header = self.headers[key]
        if header.offset is None:
            return self._pickled(header.file)[key]
        buffer = torch.empty(header.nbytes, dtype=torch.uint8)
        try:
            with open(header.file, "rb", buffering=0) as file:
                file.seek(header.offset)
                is_whole = _fill(memoryview(buffer.numpy()), file)
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


def _fill(buffer: memoryview, file: RawIOBase) -> bool:
    """Whether the file has as many bytes as the buffer; Linux reads at most 2 GiB at once."""
    while buffer:
        count = file.readinto(buffer)
        if not count:
            return False
        buffer = buffer[count:]
    return True


def _state(path: str) -> dict[str, tuple[int, int]]:
    stats = {file: os.stat(file) for file in paths_of(path) if os.path.exists(file)}
    return {file: (stat.st_size, stat.st_mtime_ns) for file, stat in stats.items()}
