"""Graphics cards, by what their manufacturer says of them: what other cards than the measured one are estimated from."""

import re
from typing import NamedTuple

from ...errors import FitError
from ...kernels.devices import Capability

FLOAT16, FP8, INT8 = "float16", "fp8", "int8"
"""What tensor cores multiply: bf16 and fp16, fp8, int8."""

SOURCE = "the manufacturer's data sheets and architecture papers: dense tensor throughput, accumulated in 32 bits, at boost clock"


class Card(NamedTuple):
    """capability: compute capability; vram: GiB; float16, fp8, int8: tera-operations a second, 0 where it has none.

    bandwidth: of its memory, link: of PCI Express in one direction, both in GB a second.
    """

    name: str
    capability: Capability
    vram: float
    float16: float
    fp8: float
    int8: float
    bandwidth: float
    link: float

    def throughput(self, number: str) -> float:
        """Of one of the kinds of numbers."""
        return {FLOAT16: self.float16, FP8: self.fp8, INT8: self.int8}[number]


_PCIE3, _PCIE4, _PCIE5 = 15.75, 31.5, 63.0
_HALF = 2
"""Of 16 lanes."""

_TABLE = (
    Card("RTX 2060", (7, 5), 6, 25.8, 0, 103.2, 336, _PCIE3),
    Card("RTX 2070", (7, 5), 8, 29.9, 0, 119.4, 448, _PCIE3),
    Card("RTX 2080", (7, 5), 8, 40.3, 0, 161.1, 448, _PCIE3),
    Card("RTX 2080 Ti", (7, 5), 11, 53.8, 0, 215.2, 616, _PCIE3),
    Card("RTX 3060", (8, 6), 12, 25.5, 0, 102.0, 360, _PCIE4),
    Card("RTX 3060 Ti", (8, 6), 8, 32.4, 0, 129.6, 448, _PCIE4),
    Card("RTX 3070", (8, 6), 8, 40.6, 0, 162.6, 448, _PCIE4),
    Card("RTX 3080", (8, 6), 10, 59.5, 0, 238.0, 760, _PCIE4),
    Card("RTX 3090", (8, 6), 24, 71.0, 0, 284.0, 936, _PCIE4),
    Card("RTX 4060", (8, 9), 8, 30.2, 60.5, 121.0, 272, _PCIE4 / _HALF),
    Card("RTX 4060 Ti", (8, 9), 8, 44.1, 88.3, 176.5, 288, _PCIE4 / _HALF),
    Card("RTX 4060 Ti 16GB", (8, 9), 16, 44.1, 88.3, 176.5, 288, _PCIE4 / _HALF),
    Card("RTX 4070", (8, 9), 12, 58.3, 116.6, 233.2, 504.2, _PCIE4),
    Card("RTX 4070 Ti", (8, 9), 12, 80.2, 160.4, 320.7, 504.2, _PCIE4),
    Card("RTX 4080", (8, 9), 16, 97.5, 194.9, 389.9, 716.8, _PCIE4),
    Card("RTX 4090", (8, 9), 24, 165.2, 330.3, 660.6, 1008, _PCIE4),
    Card("RTX 5060", (12, 0), 8, 38.4, 76.8, 153.5, 448, _PCIE5 / _HALF),
    Card("RTX 5060 Ti", (12, 0), 16, 47.4, 94.9, 189.8, 448, _PCIE5 / _HALF),
    Card("RTX 5070", (12, 0), 12, 61.7, 123.5, 246.9, 672, _PCIE5),
    Card("RTX 5070 Ti", (12, 0), 16, 87.9, 175.8, 351.5, 896, _PCIE5),
    Card("RTX 5080", (12, 0), 16, 112.6, 225.1, 450.2, 960, _PCIE5),
    Card("RTX 5090", (12, 0), 32, 209.5, 419.0, 838.0, 1792, _PCIE5),
    Card("A100", (8, 0), 80, 312.0, 0, 624.0, 2039, _PCIE4),
    Card("L40S", (8, 9), 48, 362.0, 733.0, 733.0, 864, _PCIE4),
    Card("H100", (9, 0), 80, 989.4, 1979.0, 1979.0, 3350, _PCIE5),
    Card("H200", (9, 0), 141, 989.4, 1979.0, 1979.0, 4800, _PCIE5),
)

CARDS: dict[str, Card] = {card.name: card for card in _TABLE}

MEASURED = CARDS["H200"]
"""The one that everything else is estimated from."""


def card_of(name: str) -> Card:
    """The card of a name such as "RTX 4090", "NVIDIA GeForce RTX 4090" or "4090". Raises FitError."""
    wanted = _bare(name)
    found = next((card for card in _TABLE if wanted and wanted in (_bare(card.name), _bare(card.name).removeprefix("rtx"))), None)
    if found is None:
        raise FitError(f"LightQuant's table of cards has no {name!r}. It has: {', '.join(CARDS)}. Leave the card out and name its VRAM instead.")
    return found


def card_of_device(name: str) -> Card | None:
    """The card that a driver calls so, such as "NVIDIA H100 80GB HBM3"; None where the table has none of that name, as of most laptops' cards."""
    for wanted in (_bare(name), _bare(re.sub(r"\d+ ?GB|HBM\d\w*|SXM\d*", "", name))):
        for card in _TABLE:
            if wanted == _bare(card.name):
                return card
    return None


def _bare(name: str) -> str:
    return re.sub(r"nvidia|geforce|[^a-z0-9]", "", name.lower())
