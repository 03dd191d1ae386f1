"""The ways of running a model, and what each keeps in VRAM and streams."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import NamedTuple

from .memory import CHUNK_ROWS
from .sizes import GIB, Sizes

RESIDENT, DYNAMIC, OWN = "resident", "dynamic", "own"

_TENTHS, _HALVES = 10, 2
"""Steps of the node's inputs in a GiB."""


class Way(NamedTuple):
    """title: for users; kind: nothing moves, ComfyUI's dynamic VRAM moves layers, or Offload Model moves blocks itself.

    label: what benchmarks/offload_variants.py calls it; granularity, chunk_rows, from_disk: as in Offload Model.
    """

    name: str
    title: str
    kind: str
    label: str
    granularity: str = "block"
    chunk_rows: int = 0
    from_disk: bool = False

    def unit(self, sizes: Sizes) -> int:
        """Bytes of what is moved as one."""
        return sizes.phase if self.granularity == "phase" else sizes.block


_LEAST = {"granularity": "phase", "chunk_rows": CHUNK_ROWS}

WAYS = (
    Way("resident", "all weights in VRAM", RESIDENT, "resident"),
    Way("dynamic", "ComfyUI's dynamic VRAM", DYNAMIC, "dynamic VRAM alone"),
    Way("dynamic-chunks", "ComfyUI's dynamic VRAM, FFN in chunks", DYNAMIC, "dynamic VRAM, node, chunks", chunk_rows=CHUNK_ROWS),
    Way("blocks", "Offload Model by block", OWN, "blocks, pinned"),
    Way("blocks-disk", "Offload Model by block, from disk", OWN, "blocks, from disk", from_disk=True),
    Way("phases", "Offload Model by phase, FFN in chunks", OWN, "phases, pinned, chunks", **_LEAST),
    Way("phases-disk", "Offload Model by phase, from disk, FFN in chunks", OWN, "phases, from disk, chunks", **_LEAST, from_disk=True),
)
"""Simplest first: of equally fast ones the first is the best."""


@dataclass(frozen=True)
class Placement:
    """Where a way puts a model's weights. All in bytes.

    least: the VRAM that the way needs at the very least, activations included; vram: what it takes here, torch's spare memory included.
    streamed: what a step brings to the card: from_ram of it from pinned memory, from_cache from the system's page cache, from_file from the disk.
    node: what to set of Offload Model, None for no node.
    """

    least: float = 0.0
    vram: float = 0.0
    streamed: float = 0.0
    from_ram: float = 0.0
    from_cache: float = 0.0
    node: Mapping[str, object] | None = None

    @property
    def from_file(self) -> float:
        return self.streamed - self.from_ram - self.from_cache


def least_vram(way: Way, sizes: Sizes, activations: float) -> float:
    """The VRAM without which the way can't work."""
    if way.kind == RESIDENT:
        return sizes.all + activations
    return sizes.budget(0, way.unit(sizes)) + activations


def place(way: Way, sizes: Sizes, activations: float, spare: float, vram: float, ram: float) -> Placement | None:
    """What a way does with so much VRAM and host memory, all in bytes; None where the VRAM is too little.

    spare: what torch keeps beside what is needed; ram: for this model's weights.
    """
    least = least_vram(way, sizes, activations)
    if least > vram:
        return None
    found = _PLACES[way.kind](way, sizes, activations, vram, ram)
    return replace(found, least=least, vram=min(vram, found.vram + spare))


def _resident(way: Way, sizes: Sizes, activations: float, vram: float, ram: float) -> Placement:
    return Placement(vram=sizes.all + activations)


def _dynamic(way: Way, sizes: Sizes, activations: float, vram: float, ram: float) -> Placement:
    held = min(sizes.all, vram - activations)
    streamed = sizes.all - held
    node = {"keep": 1.0, "chunk_rows": way.chunk_rows} if way.chunk_rows else None
    return Placement(vram=held + activations, streamed=streamed, from_ram=min(streamed, ram), node=node)


def _own(way: Way, sizes: Sizes, activations: float, vram: float, ram: float) -> Placement:
    unit, budget = way.unit(sizes), floor((vram - activations) / GIB * _TENTHS) / _TENTHS
    kept = sizes.kept(budget * GIB, unit) or 0
    streamed = (sizes.blocks - kept) * sizes.block
    node: dict[str, object] = {"granularity": way.granularity, "vram": budget}
    from_ram, from_cache = (0, streamed if sizes.all <= ram else 0) if way.from_disk else (streamed, 0)
    if way.from_disk:
        node["from_disk"] = True
    elif streamed > ram:
        node["pinned_limit"] = max(1, floor(ram / GIB * _HALVES)) / _HALVES
        from_ram = node["pinned_limit"] * GIB
    if way.chunk_rows:
        node["chunk_rows"] = way.chunk_rows
    return Placement(vram=sizes.budget(kept, unit) + activations, streamed=streamed, from_ram=from_ram, from_cache=from_cache, node=node)


_PLACES = {RESIDENT: _resident, DYNAMIC: _dynamic, OWN: _own}
