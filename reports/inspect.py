"""What a checkpoint is, from its headers alone: no byte of a tensor is read unless the data is asked for."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ..formats import mixture
from ..loaders.blocks import promised_depth
from ..loaders.checkpoint import without_prefix
from ..loaders.components import COMPONENTS
from ..loaders.files import Header
from ..loaders.foreign import describe_foreign, quantized_otherwise
from ..loaders.identity import identify
from ..loaders.random_weights import metadata_of
from ..loaders.storage import Storage, headers, storage_of
from . import layers
from .auto import auto_takes
from .families import Family, family_of
from .notes import damage_in, notes_on
from .runs_here import Runs, device_name, schemes_for
from .tensor_checks import DataReport, Progress, check

_LONGEST = 200
"""Characters of a metadata value that are kept: training programs put whole documents there."""


@dataclass(frozen=True)
class Inspection:
    """A checkpoint, described.

    kind, files: how it lies on disk; bytes: of all files; component, title: what it is, None and a noun phrase if it is none of the pack's;
    format: of its quantized weights, or all of a mixed file's, None if there are none of the pack's; parameters: None where they can't be counted;
    precisions: tensors and bytes by dtype; kinds: bytes by kind of tensor; notes: what is odd or worth knowing, from the headers;
    auto: what `auto` runs on `device` for each format; schemes: every scheme, whether it reads the file and runs there;
    data: what the tensors hold, None unless they were read.
    """

    path: str
    kind: str
    files: Mapping[str, int]
    bytes: int
    component: str | None
    title: str
    family: Family | None
    format: str | None
    parameters: int | None
    tensors: int
    precisions: Mapping[str, tuple[int, int]]
    kinds: Mapping[str, int]
    blocks: tuple[layers.Block, ...]
    layers: tuple[layers.Layer, ...]
    notes: tuple[str, ...]
    metadata: Mapping[str, str]
    device: str
    auto: Mapping[str, str]
    schemes: tuple[Runs, ...]
    data: DataReport | None

    def as_dict(self) -> dict:
        """The same as plain dictionaries, lists, strings and numbers, for JSON."""
        named = {**vars(self), "blocks": [{"name": block.name, "bytes": block.bytes} for block in self.blocks]}
        named["layers"] = [layer._asdict() for layer in self.layers]
        named["schemes"] = [row._asdict() for row in self.schemes]
        named["family"] = self.family and self.family._asdict()
        named["precisions"] = {name: {"tensors": count, "bytes": size} for name, (count, size) in self.precisions.items()}
        named["data"] = self.data and self.data.as_dict()
        return named


def inspect(
    path: str, device: torch.device, data: bool = False, progress: Progress | None = None, preferred: Sequence[str] = ()
) -> Inspection:
    """Describe the file or folder at path. device: what the schemes are asked about; data: read the tensors too, a piece at a time.

    preferred: what `auto` tries first, as for kernels.select.
    Raises CheckpointError where it can't be read or is damaged; a file that is no component of the pack's is described all the same.
    """
    storage, found = storage_of(path), headers(path)
    identity, bare = identify(found), without_prefix(found)
    family = family_of(identity.component, bare) if identity else None
    formats = identity.formats if identity and not quantized_otherwise(bare) else ()
    return Inspection(
        path=path,
        kind=storage.kind,
        files={os.path.basename(file): os.path.getsize(file) for file in storage.files},
        bytes=sum(os.path.getsize(file) for file in storage.files),
        component=identity.component if identity else None,
        title=COMPONENTS[identity.component].title if identity else describe_foreign(bare),
        family=family,
        format=mixture(formats),
        parameters=layers.parameters_of(bare),
        tensors=len(found),
        precisions=_precisions(found),
        kinds=layers.bytes_by_kind(bare),
        blocks=layers.blocks_of(bare),
        layers=layers.layers_of(bare),
        notes=(*notes_on(bare, len(found) - len(bare)), *(damage_in(bare, formats) if family else ()), *_too_short(storage, family)),
        metadata=_metadata(path),
        device=device_name(device),
        auto={name: auto_takes(name, device, preferred).said for name in formats},
        schemes=schemes_for(formats, device),
        data=check(bare, progress) if data else None,
    )


def to_json(inspection: Inspection) -> str:
    """The report as JSON text."""
    return json.dumps(inspection.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)


def _too_short(storage: Storage, family: Family | None) -> list[str]:
    """A folder without an index may lack its last parts, which nothing but the model's published depth tells."""
    depth = promised_depth(storage, family.width) if family else None
    return [f"only {family.blocks} of its {depth} blocks are in the folder"] if depth and family.blocks < depth else []


def _precisions(tensors: Mapping[str, Header]) -> dict[str, tuple[int, int]]:
    sizes: dict[str, list[int]] = {}
    for header in tensors.values():
        sizes.setdefault(layers.dtype_name(header.dtype), []).append(header.nbytes)
    return {name: (len(each), sum(each)) for name, each in sorted(sizes.items(), key=lambda item: -sum(item[1]))}


def _metadata(path: str) -> dict[str, str]:
    return {key: value if len(value) <= _LONGEST else value[:_LONGEST] + "..." for key, value in metadata_of(path).items()}
