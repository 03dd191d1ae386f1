"""How long a step computes: attention grows with the square of the tokens, all else with their number.

Each part is measured on one card. On another it takes so many times as long as that card's data sheet has less throughput, or for what is bound by
memory less bandwidth. One forward a step, as with cfg 1.
"""

from dataclasses import dataclass

from .cards import FLOAT16, MEASURED, Card
from .measured import measured
from .models import MODELS, Model
from .runs_on import Runs
from .sizes import FLOAT
from .ways import Placement


@dataclass(frozen=True)
class Step:
    """Seconds of a step. between: norms, rotary embedding, GELU and such; whole: whether the sum was measured, and not its parts."""

    attention: float
    linears: float
    between: float
    whole: bool = False

    @property
    def seconds(self) -> float:
        return self.attention + self.linears + self.between


def step(model: Model, runs: Runs, tokens: int, card: Card) -> Step | None:
    """A step of a model on a card with a scheme's kernel; None where that kernel's linears have not been measured."""
    kernel = _kernel(model, runs.label)
    if kernel is None:
        return None
    at = measured()
    longer = tokens / at.tokens
    size = model.blocks * model.width / (at.model.blocks * at.model.width)
    slower, thinner = MEASURED.throughput(FLOAT16) / card.float16, MEASURED.bandwidth / card.bandwidth
    quantizer, product = kernel
    product *= MEASURED.throughput(runs.number) / card.throughput(runs.number)
    attention, between = _attention_s(), at.noted["between_s"]
    linears = quantizer * thinner + product
    whole = card is MEASURED and model == at.model and tokens == at.tokens and runs.label in at.steps
    return Step(attention * longer**2 * size * slower, linears * longer, between * longer * size * thinner, whole)


def moving_s(placed: Placement, card: Card, disk_gb_s: float) -> float:
    """Seconds that a step's copies take; they run beside computing."""
    noted = measured().noted
    pinned = noted["pinned_gb_s"] * card.link / MEASURED.link
    pageable = min(noted["pageable_gb_s"], pinned)
    return (placed.from_ram / pinned + placed.from_cache / pageable + placed.from_file / disk_gb_s) / 1e9


def _attention_s() -> float:
    """What a measured step of the float model takes beside its linears and what is between."""
    at = measured()
    linears = at.linears[at.model.width][FLOAT]["block_ms"] / 1000 * at.model.blocks
    return at.steps[FLOAT]["step_s"] - linears - at.noted["between_s"]


def _kernel(model: Model, label: str) -> tuple[float, float] | None:
    """Seconds of all linears of a model at the measured tokens on the measured card: those of the quantizer, and the rest."""
    at = measured()
    width = min(at.linears, key=lambda each: abs(each - model.width))
    found = at.linears[width].get(label)
    if found is None:
        return None
    shown = next(each for each in MODELS.values() if each.width == width)
    size = model.blocks * _weights(model) / _weights(shown)
    seconds, quantizer = found["block_ms"] / 1000, (found["quantizer_ms"] or 0) / 1000
    if shown is at.model and label in at.steps:
        seconds = (at.steps[label]["step_s"] - _attention_s() - at.noted["between_s"]) / at.model.blocks
    return size * quantizer, size * (seconds - quantizer)


def _weights(model: Model) -> int:
    """Of a block's linears over the video's tokens."""
    return 6 * model.width**2 + 2 * model.width * model.ffn
