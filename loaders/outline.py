"""A checkpoint as its headers tell it: what reading it would give, without its numbers."""

import torch

from .checkpoint import Checkpoint, described
from .files import Header, open_pickled
from .random_weights import metadata_of
from .scaled import CORE_TAG
from .storage import headers


def outline(path: str, component: str) -> Checkpoint:
    """The component's checkpoint at path, its tensors on meta.

    Raises CheckpointError as reading it does, but for what only the numbers show: NaN or infinite scales.
    """
    tensors = {key: _outlined(key, header) for key, header in headers(path).items()}
    return described(path, component, tensors, metadata_of(path))


def _outlined(key: str, header: Header) -> torch.Tensor:
    if not key.endswith(CORE_TAG):
        return torch.empty(header.shape, dtype=header.dtype, device="meta")
    # ComfyUI's tags are a few bytes, and what they say decides whether the file can be read.
    if header.offset is None:
        return open_pickled(header.file)[key]
    with open(header.file, "rb") as file:
        file.seek(header.offset)
        return torch.frombuffer(bytearray(file.read(header.nbytes)), dtype=torch.uint8)
