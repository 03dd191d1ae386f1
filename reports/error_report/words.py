"""Figures and names as the text, the picture and the page write them."""

from math import isfinite
from typing import NamedTuple

from ..text import size_text
from ..weight_errors import FLOAT, LayerError
from .report import OUTPUTS, ErrorReport, Latents
from .totals import Total

NONE = "-"

RANDOM = "The weights are random: these figures say what the arithmetic does to such numbers, and nothing about pictures."

MEANING = {
    "relative error": "the length of the difference over the length of what it is compared with, as in |stored - float| / |float|",
    "SQNR": "the same in decibels, -20 log10 of it: 6 dB more is half the error",
    "bytes saved": "against the same numbers in 16 bits",
    "error per byte saved": "the square of the relative error, times the number of weights, over the bytes saved: what lightquant plan weighs",
    "saturated channels": "output rows with so many codes at the largest one that their scale must have cut values off",
    "dead channels": "output rows of which nothing but zeros is left",
}
"""What each figure is, in the page's and the README's words."""


class Figure(NamedTuple):
    """A column of figures. field: of a LayerError or Total; name: for people; write: a value as text."""

    field: str
    name: str

    def text(self, of: LayerError | Total) -> str:
        return _WRITTEN[self.field](getattr(of, self.field))


def percent(value: float) -> str:
    return f"{100 * value:.3g} %" if isfinite(value) else NONE


def decibels(value: float) -> str:
    return f"{value:.1f} dB" if isfinite(value) else NONE


def latents_text(latents: Latents) -> str:
    """How far apart the latents are."""
    return f"latents after {latents.steps} steps: relative error {percent(latents.relative_error)}, cosine {cosine(latents)}"


def cosine(latents: Latents) -> str:
    return f"{latents.cosine:.6f}" if isfinite(latents.cosine) else NONE


def _per_byte(value: float | None) -> str:
    return NONE if value is None else f"{value:.2e}"


def _size(value: int) -> str:
    return f"-{size_text(-value)}" if value < 0 else size_text(value)


_WRITTEN = {
    "relative_error": percent, "sqnr_db": decibels, "stored_bytes": _size, "bytes_saved": _size, "error_per_byte_saved": _per_byte, "saturated": str,
    "dead": str, "format": str,
}  # fmt: skip

FORMAT, ERROR, SQNR = Figure("format", "format"), Figure("relative_error", "relative error"), Figure("sqnr_db", "SQNR")
BYTES, SAVED, PER_BYTE = Figure("stored_bytes", "bytes"), Figure("bytes_saved", "bytes saved"), Figure("error_per_byte_saved", "error per byte saved")
SATURATED, DEAD = Figure("saturated", "saturated channels"), Figure("dead", "dead channels")

FIGURES = (ERROR, SQNR, BYTES, SAVED, PER_BYTE, SATURATED, DEAD)


def figures_of(report: ErrorReport) -> tuple[Figure, ...]:
    """The columns that a report has something for: the errors of outputs tell no channels."""
    return FIGURES[:-2] if report.measured == OUTPUTS else FIGURES


def title_of(report: ErrorReport) -> str:
    """What the report is about, in a line."""
    what = "Error of the layers' outputs" if report.measured == OUTPUTS else "Error of the weights"
    return f"{what}: {' and '.join(side.name for side in report.sides)}"


def against_of(report: ErrorReport) -> str:
    """What it is compared with."""
    return f"against {report.reference}" + ("" if report.reference_format == FLOAT else f", which is {report.reference_format} itself")


def letters(report: ErrorReport) -> tuple[str, ...]:
    """What the sides are called where their names are too long: nothing for one, A and B for two."""
    return ("",) if len(report.sides) == 1 else tuple("AB"[: len(report.sides)])
