"""What ComfyUI's own loader needs of a umt5 file and LightX2V's files lack: ComfyUI's names, and the tokenizer within."""

from collections.abc import Callable, Iterable, Sequence

import torch

from ..errors import CheckpointError, ConvertError
from ..loaders.checkpoint import SPIECE, Checkpoint
from ..loaders.components import component_of
from ..loaders.rename import rename_keys
from ..loaders.t5_keys import TABLE
from ..loaders.tokenizer import find_tokenizer
from .source import Source

_WAN_EMBEDDING, _EMBEDDING = "token_embedding.weight", "shared.weight"


def names_for_comfyui(component: str, keys: Iterable[str]) -> Callable[[str], str]:
    """What turns a file's key into ComfyUI's: umt5's in Wan's names differ, and the other components' are the same or stay."""
    keys = set(keys)
    if component != "t5" or _WAN_EMBEDDING not in keys:
        return str
    renamed = rename_keys(keys - {SPIECE}, TABLE)
    return lambda key: renamed.get(key, key)


def add_tokenizer(source: Source, chosen: str | None = None, files: Sequence[str] = ()) -> None:
    """Put the tokenizer into a umt5 source that carries none: the chosen file's, else one that lies beside the source, else one in `files`.

    Raises ConvertError where there is none, or where it is not this model's. Nothing is done for the other components.
    """
    component = component_of(source.headers)
    if component is None or component.name != "t5" or (SPIECE in source.headers and not chosen):
        return
    embedding = next(source.headers[key] for key in (_WAN_EMBEDDING, _EMBEDDING) if key in source.headers)
    described = Checkpoint(source.path, "t5", {}, {_EMBEDDING: torch.empty(embedding.shape, device="meta")}, {})
    try:
        found = find_tokenizer(described, chosen, files, carried)
    except CheckpointError as problem:
        raise ConvertError(
            f"For ComfyUI's own loader the file must carry the tokenizer. {problem} "
            "lightquant convert takes it as --tokenizer, too; a file for lightx2v needs none."
        ) from problem
    source.add(SPIECE, found.model)


def carried(path: str) -> torch.Tensor | None:
    """The tokenizer within a umt5 file, or None; nothing else of the file is read."""
    other = Source(path)
    return other.read(SPIECE) if SPIECE in other.headers else None
