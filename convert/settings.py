"""What a conversion is asked for."""

from dataclasses import dataclass

from ..formats import ABSMAX

SINGLE, SPLIT, CHUNKED = "single", "split", "chunked"
LAYOUTS = (SINGLE, SPLIT, CHUNKED)
"""One file; a file a block; files of a hundred tensors."""

LIGHTX2V, COMFYUI = "lightx2v", "comfyui"
READERS = (LIGHTX2V, COMFYUI)
"""Whose loader the file is for; this pack reads either."""


@dataclass(frozen=True)
class Settings:
    """format: a name from FORMATS; layout: one of LAYOUTS; reader: one of READERS.
    keep: patterns (as in file names) of the tensors that stay float, besides those that are never quantized.
    dtype: of what stays float, a name from DTYPES; None: the component's usual one.
    scaling: how scales are chosen, a name that the formats know; device: where it is computed.
    """

    format: str
    layout: str = SINGLE
    reader: str = LIGHTX2V
    keep: tuple[str, ...] = ()
    dtype: str | None = None
    scaling: str = ABSMAX
    device: str = "cpu"
