"""Tensors straight from their files, some rows at a time, so that memory does not grow with the model."""

import os
from collections.abc import Iterator, Mapping

import torch

from ..errors import CheckpointError
from ..loaders.checkpoint import without_prefix
from ..loaders.files import Header, open_pickled


class RowReader:
    """Reads tensors a piece at a time. piece: bytes of one; it is reused, so what `rows` yields must not outlive the next step."""

    def __init__(self, piece: int):
        self._piece = piece
        self._mapped: tuple[str, Mapping[str, torch.Tensor]] = ("", {})

    def rows(self, key: str, header: Header, piece: int | None = None) -> Iterator[torch.Tensor]:
        """The tensor as [n, K] pieces in order: its first dimension is N, all others make K; a tensor of less than two dimensions is one row.

        piece: bytes of one, where not the reader's own. Raises CheckpointError where the file ends too soon.
        """
        if not header.nbytes:
            return
        count = header.shape[0] if len(header.shape) > 1 else 1
        step = max(1, (piece or self._piece) // max(1, header.nbytes // count))
        if header.offset is None:
            yield from self._tensor(key, header).reshape(count, -1).split(step)
            return
        buffer = bytearray(step * (header.nbytes // count))
        with open(header.file, "rb") as file:
            file.seek(header.offset)
            for first in range(0, count, step):
                view = memoryview(buffer)[: min(step, count - first) * (header.nbytes // count)]
                if file.readinto(view) != len(view):
                    raise CheckpointError(f"LightQuant can't read {key} in {os.path.basename(header.file)}: the file changed. Inspect it again.")
                yield torch.frombuffer(view, dtype=header.dtype).reshape(min(step, count - first), -1)

    def tensor(self, key: str, header: Header) -> torch.Tensor:
        """The whole tensor as it is."""
        pieces = [*self.rows(key, header, header.nbytes)]
        return pieces[0].reshape(header.shape) if pieces else torch.empty(header.shape, dtype=header.dtype)

    def whole(self, key: str, header: Header) -> torch.Tensor:
        """The tensor as fp32, flat: for scales, which are small."""
        pieces = [piece.to(torch.float32, copy=True).flatten() for piece in self.rows(key, header)]
        return torch.cat(pieces) if pieces else torch.empty(0)

    def _tensor(self, key: str, header: Header) -> torch.Tensor:
        if self._mapped[0] != header.file:
            self._mapped = (header.file, without_prefix(open_pickled(header.file)))
        return self._mapped[1][key].detach().contiguous()
