"""The report as text: for the shell and for a node."""

from collections.abc import Sequence

from ..text import table
from ..weight_errors import LayerError
from .report import ErrorReport, Side
from .totals import Total, by_kind, whole, worst
from .words import FORMAT, RANDOM, Figure, against_of, figures_of, latents_text, letters, title_of


def to_text(report: ErrorReport) -> str:
    """A summary: the totals, each kind of layer, the worst ten. Blocks and all layers are in the JSON and on the page."""
    lines = [title_of(report), f"  {against_of(report)}", *(f"  {note}" for note in report.notes)]
    if report.random:
        lines.append(f"  {RANDOM}")
    if report.latents:
        lines.append(f"  {latents_text(report.latents)}")
    for letter, side in zip(letters(report), report.sides, strict=True):
        lines += [f"{letter}: {side.name}"] if letter else []
        lines += [f"  {line}".rstrip() for line in _side(side, figures_of(report))]
    return "\n".join(lines)


def _side(side: Side, figures: Sequence[Figure]) -> list[str]:
    totals = [*by_kind(side.layers), whole(side.layers)]
    return [
        *table([_head("kind of layer", figures), *(_row(total.name, total, figures) for total in totals)]),
        "",
        *table([_head("the worst", (FORMAT, *figures)), *(_row(layer.layer, layer, (FORMAT, *figures)) for layer in worst(side.layers))]),
    ]


def _head(name: str, figures: Sequence[Figure]) -> list[str]:
    return [name, *(figure.name for figure in figures)]


def _row(name: str, of: LayerError | Total, figures: Sequence[Figure]) -> list[str]:
    return [name, *(figure.text(of) for figure in figures)]
