"""What a conversion is asked for."""

from dataclasses import dataclass

from ..formats import ABSMAX
from .recipe import Recipe

SINGLE, SPLIT, CHUNKED = "single", "split", "chunked"
LAYOUTS = (SINGLE, SPLIT, CHUNKED)
"""One file; a file a block; files of a hundred tensors."""

LIGHTX2V, COMFYUI = "lightx2v", "comfyui"
READERS = (LIGHTX2V, COMFYUI)
"""Whose loader the file is for; this pack reads either."""


@dataclass(frozen=True)
class Settings:
    """format: a name from FORMATS, or None where a recipe tells each layer's; layout: one of LAYOUTS; reader: one of READERS.
    keep: patterns (as in file names) of the tensors that stay float, besides those that are never quantized.
    dtype: of what stays float, a name from DTYPES; None: the component's usual one.
    scaling: how scales are chosen, a name that the formats know; device: where it is computed.
    recipe: which format each layer has, where it is not the same for all.
    """

    format: str | None
    layout: str = SINGLE
    reader: str = LIGHTX2V
    keep: tuple[str, ...] = ()
    dtype: str | None = None
    scaling: str = ABSMAX
    device: str = "cpu"
    recipe: Recipe | None = None

    def format_of(self, layer: str) -> str | None:
        """The name of the format that a layer is to have; None where it stays float."""
        return self.recipe.format_of(layer) if self.recipe else self.format
