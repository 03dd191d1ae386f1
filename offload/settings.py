"""What a user chose about offloading; it belongs to a clone of a model, never to its modules."""

from dataclasses import dataclass

from ..errors import OffloadError

MODEL, BLOCK, PHASE = "model", "block", "phase"
"""What is moved as one, in LightX2V's words: all of it, a block, or the self-attention, the cross-attention or the FFN of one."""

GRANULARITIES = (MODEL, BLOCK, PHASE)

GIB = 2**30


@dataclass(frozen=True)
class Settings:
    """vram_gib: how much of the weights, the two buffers included, may be in VRAM; 0 is as little as possible.

    keep: the share of blocks that stay in VRAM, 0 to 1. Of the two the one that keeps more holds.
    pinned: whether what is streamed gets a copy in pinned memory; pinned_gib: at most so much of it, 0 is whatever ComfyUI allows.
    from_disk: read it from the file at each use instead, so that it takes no memory of the process's own.
    chunk_rows: how many rows (tokens) of the FFN are computed at a time; 0 is all.
    """

    vram_gib: float = 0.0
    keep: float = 0.0
    granularity: str = BLOCK
    pinned: bool = True
    pinned_gib: float = 0.0
    from_disk: bool = False
    chunk_rows: int = 0

    def __post_init__(self):
        if self.granularity not in GRANULARITIES:
            raise OffloadError(f"There is no granularity {self.granularity}. The granularities are: {', '.join(GRANULARITIES)}.")
        if not 0 <= self.keep <= 1:
            raise OffloadError(f"The share of blocks to keep is {self.keep:g}; it must be from 0 to 1.")
        for name, value in (("VRAM budget", self.vram_gib), ("limit of pinned memory", self.pinned_gib), ("number of rows", self.chunk_rows)):
            if value < 0:
                raise OffloadError(f"The {name} is {value:g}; it must be 0 or more.")

    @property
    def copies(self) -> bool:
        """Whether what is streamed gets a copy in pinned memory."""
        return self.pinned and not self.from_disk
