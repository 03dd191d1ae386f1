"""How the Triton products are cut into tiles: one table, by GPU, dtype and size. Nothing is tried out while a model runs.

benchmarks/tune_products.py measures candidates on an H200, and what it finds best is written here for sm_90. The others are chosen so that the
compiler fits them into the GPU's shared memory and registers (tests/kernels/test_triton.py compiles each for its GPU) and are measured nowhere.
"""

from typing import NamedTuple

import torch

ANY = 1 << 62

ALIGNMENT = 16
"""Bytes that rows of codes begin at multiples of where descriptors, and loads of whole vectors, can be had."""


class Tile(NamedTuple):
    """One program's share of a product, and how it works on it.

    rows, columns: of the result; inner: codes of K taken at a time; stages: how many times that is on its way at once; warps: of the program.
    group: rows of tiles that are worked on side by side, for L2; parts: the result is written in so many, each of its own shared memory's size.
    descriptors: by TMA, a persistent program for each resident on a processor.
    flatten: the loops over tiles and over K are made one, so that the next tile's loads start early.
    """

    rows: int
    columns: int
    inner: int
    stages: int
    warps: int
    group: int = 8
    parts: int = 1
    descriptors: bool = False
    residents: int = 1
    flatten: bool = False


class Rule(NamedTuple):
    """A tile for products of at most so many rows."""

    tile: Tile
    rows: int = ANY


FEW, SOME, MANY = 16, 64, 512
"""The buckets of M: modulation layers, short prompts, text; beyond them the video's tokens."""

_FEW = Rule(Tile(16, 64, 256, 4, 4), rows=FEW)
_SOME = Rule(Tile(64, 64, 128, 4, 4), rows=SOME)

_BY_POINTERS = (_FEW, _SOME, Rule(Tile(128, 128, 64, 4, 8), rows=MANY), Rule(Tile(128, 256, 64, 4, 8)))
"""Fits 99 KiB of shared memory, the least that a GPU from sm_80 on has, and so is what an unknown one gets."""

_SM80 = (_FEW, _SOME, Rule(Tile(128, 128, 128, 3, 8), rows=MANY), Rule(Tile(128, 256, 64, 4, 8)))

_SM90 = (
    Rule(Tile(64, 64, 256, 4, 4, descriptors=True), rows=SOME),
    Rule(Tile(128, 128, 128, 3, 4, parts=2, descriptors=True, residents=2, flatten=True)),
    _SOME, Rule(Tile(128, 128, 128, 3, 8)),
)  # fmt: skip

_SM100_FP8 = (
    Rule(Tile(64, 64, 128, 4, 4, descriptors=True), rows=SOME),
    Rule(Tile(128, 128, 128, 4, 8, parts=2, descriptors=True), rows=MANY),
    Rule(Tile(128, 256, 128, 4, 8, parts=2, descriptors=True)),
    _SOME, Rule(Tile(128, 128, 128, 3, 8)),
)  # fmt: skip

UNALIGNED = Tile(64, 64, 64, 2, 4)
"""For rows of K codes that don't begin at multiples of 16 bytes: they are read byte by byte, which takes registers. No Wan model has any."""

_FAMILIES = {(8, 0): "sm_80", (8, 7): "sm_80", (9, 0): "sm_90", (10, 0): "sm_100", (10, 3): "sm_100"}
"""Capability -> the family whose tiles it has; all others have the common ones."""

TILES: dict[tuple[str, torch.dtype], tuple[Rule, ...]] = {
    ("sm_80", torch.int8): _SM80,
    ("sm_90", torch.int8): (_FEW, *_SM90),
    ("sm_90", torch.float8_e4m3fn): (_FEW, *_SM90),
    ("sm_100", torch.float8_e4m3fn): (_FEW, *_SM100_FP8),
}
"""Rules, the first that fits is taken. For int8, Triton has no fifth-generation tensor core instruction, so sm_100 has the common ones."""


def rules(capability: tuple[int, int], dtype: torch.dtype) -> tuple[Rule, ...]:
    """What a GPU of this capability multiplies codes of this dtype by."""
    return TILES.get((_FAMILIES.get(capability, ""), dtype), _BY_POINTERS)


def has_descriptors(capability: tuple[int, int], dtype: torch.dtype) -> bool:
    """Whether any of a GPU's tiles goes by descriptors."""
    return any(rule.tile.descriptors for rule in rules(capability, dtype))


def tile_for(capability: tuple[int, int], dtype: torch.dtype, rows: int, inner: int, descriptors: bool) -> Tile:
    """The tile of a product of rows [rows, inner]; descriptors: whether it may be one by descriptors."""
    if inner % ALIGNMENT:
        return UNALIGNED
    return next(rule.tile for rule in rules(capability, dtype) if rows <= rule.rows and (descriptors or not rule.tile.descriptors))
