"""What benchmarks/linear.py measures: models, shapes, numbers of rows, and the block whose sum is promised. Standard library only."""

from typing import NamedTuple


class Model(NamedTuple):
    """A model's two widths and the numbers of rows its linears are measured at."""

    name: str
    width: int
    ffn: int
    rows: tuple[int, ...]

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of its linears: attention, and the two of the FFN."""
        return (self.width, self.width), (self.width, self.ffn), (self.ffn, self.width)


class Block(NamedTuple):
    """The linears of a block that are summed: count, inputs and outputs of each, all at one number of rows."""

    model: str
    rows: int
    what: str
    linears: tuple[tuple[int, int, int], ...]


class Plan(NamedTuple):
    """few_rows: the numbers of rows between which int4's crossover is looked for; target_ms: about how long a call is measured at each point.

    cold_bytes: how much of memory the copies of a weight fill, which the calls go round among.
    """

    models: tuple[Model, ...]
    block: Block
    few_rows: tuple[int, ...]
    target_ms: float
    cold_bytes: int


def block_of(model: Model, rows: int) -> Block:
    """Self-attention's q, k, v, o, cross-attention's q, o and both FFN; cross-attention's k and v see the text's few rows and are left out."""
    (width, ffn), what = model[1:3], "self-attention q k v o, cross-attention q o, both FFN"
    return Block(model.name, rows, what, ((6, width, width), (1, width, ffn), (1, ffn, width)))


_ROWS = (1, 16, 64, 512, 2048, 8192, 32760, 75600)
"""A modulation layer's one row, texts, and 480p and 720p of 81 frames."""
_FEW_ROWS = (1, 8, 16, 32, 48, 64, 96, 128, 256, 512, 1024, 4096)

_WAN_14B = Model("Wan 14B", 5120, 13824, _ROWS)

FULL = Plan(
    models=(_WAN_14B, Model("Wan 1.3B", 1536, 8960, _ROWS), Model("umt5-xxl", 4096, 10240, _ROWS[:5])),
    block=block_of(_WAN_14B, 32760),
    few_rows=_FEW_ROWS,
    target_ms=24,
    cold_bytes=240 << 20,
)
"""The encoder never sees more than some hundred rows. An H200's L2 is 60 MiB."""

_TINY = Model("tiny", 256, 512, (1, 48))
SMALL = Plan(models=(_TINY,), block=block_of(_TINY, 48), few_rows=(1, 16, 48), target_ms=0.1, cold_bytes=1 << 20)
"""Shows on any machine that the script runs; its figures mean nothing."""
