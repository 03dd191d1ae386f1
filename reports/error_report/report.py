"""The report on errors: what was measured, against what, for one checkpoint or two beside each other."""

import json
from dataclasses import dataclass
from math import isfinite

from ... import __version__
from ..weight_errors import LayerError
from .totals import Total, by_block, by_kind, whole, worst

VERSION = 1
"""Of the JSON; it rises when a field changes its meaning or goes."""

WEIGHTS, OUTPUTS = "weights", "outputs"
"""What an error is the error of."""


@dataclass(frozen=True)
class Side:
    """A checkpoint or model that was measured. name: what it is called; layers: its quantized layers, in the model's order."""

    name: str
    layers: tuple[LayerError, ...]

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of its layers, the commonest first."""
        names = [layer.format for layer in self.layers]
        return tuple(sorted(set(names), key=lambda name: (-names.count(name), name)))


@dataclass(frozen=True)
class Latents:
    """The sampled latents against the reference's, NaN where either has NaN. steps, seed: of the run that gave them."""

    cosine: float
    relative_error: float
    steps: int
    seed: int


@dataclass(frozen=True)
class ErrorReport:
    """measured: WEIGHTS or OUTPUTS; reference: what the sides are compared with; reference_format: FLOAT, or how it is quantized itself.

    sides: one, or two to be shown beside each other; random: whether the weights are random, which no figure here then says anything about pictures;
    notes: what else a reader must know; latents: of a run, else None.
    """

    measured: str
    reference: str
    reference_format: str
    sides: tuple[Side, ...]
    random: bool = False
    notes: tuple[str, ...] = ()
    latents: Latents | None = None

    def as_dict(self) -> dict:
        """The same as plain dictionaries, lists, strings and numbers, for JSON; the fields are explained in the README."""
        return {
            "version": VERSION, "lightquant": __version__, "measured": self.measured, "random_weights": self.random,
            "reference": {"name": self.reference, "format": self.reference_format}, "notes": list(self.notes),
            "sides": [_side(side, self.measured) for side in self.sides], "latents": self.latents and _finite(vars(self.latents)),
        }  # fmt: skip


def to_json(report: ErrorReport) -> str:
    """The report as JSON text."""
    return json.dumps(report.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)


def _side(side: Side, measured: str) -> dict:
    totals = {"by_kind": by_kind(side.layers), "by_block": by_block(side.layers)}
    return {
        "name": side.name, "formats": list(side.formats), "total": _figures(whole(side.layers), measured),
        "worst": [layer.layer for layer in worst(side.layers)],
        **{name: [_figures(total, measured) for total in each] for name, each in totals.items()},
        "layers": [_figures(layer, measured) for layer in side.layers],
    }  # fmt: skip


def _figures(of: LayerError | Total, measured: str) -> dict:
    """The figures of a layer or of several, those that there are no numbers for as None."""
    is_layer = isinstance(of, LayerError)
    named = {"name": of.layer, "format": of.format, "rows": of.rows, "elements": of.elements} if is_layer else {"name": of.name, "layers": of.layers}
    sums = {"squared_error": of.squared_error, "squared_norm": of.squared_norm} if is_layer else {}
    figures = {
        "relative_error": of.relative_error, "sqnr_db": of.sqnr_db, "error_per_byte_saved": of.error_per_byte_saved, "bytes": of.stored_bytes,
        "bytes_saved": of.bytes_saved, "saturated_channels": of.saturated if measured == WEIGHTS else None,
        "dead_channels": of.dead if measured == WEIGHTS else None, **sums,
    }  # fmt: skip
    return {**named, **_finite(figures)}


def _finite(figures: dict) -> dict:
    return {name: value if value is None or isfinite(value) else None for name, value in figures.items()}
