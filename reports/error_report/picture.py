"""The report as a picture: the error of each layer by kind and block, and the worst ten."""

from collections.abc import Sequence
from math import inf

from PIL import Image

from ..canvas import ALARM, FAINT, GRID, LABELS, LINE, MARGIN, SMALL, TEXT, TITLE, WIDTH, Canvas
from ..layers import natural
from ..page import scales
from .report import ErrorReport, Side
from .totals import block_of, kind_of, whole, worst
from .words import ERROR, RANDOM, SQNR, against_of, figures_of, latents_text, letters, percent, title_of

COLOURS = ("#eaf1f8", "#cfe0f0", "#a9c9e4", "#7fadd5", "#558fc3", "#346fa8", "#1f4f82", "#10315a")
"""Of the heat map, the least error first; the page's in its light style."""

_CELL, _WIDEST, _MOST_KINDS, _BAR, _NAMES = 26, 60, 28, 22, 480
"""Pixels: a row of the heat map, and its columns at the most; how many rows; a bar of the worst ten, and the room for their names."""


def draw(report: ErrorReport) -> Image.Image:
    """The picture, RGB, as high as the model needs."""
    return _Picture(report).image


class _Picture:
    def __init__(self, report: ErrorReport):
        self._report = report
        rows = sum(min(_MOST_KINDS, len({kind_of(layer.layer) for layer in side.layers})) for side in report.sides)
        canvas = Canvas(400 + 560 * len(report.sides) + _CELL * rows)
        self._draw, self._write = canvas.draw, canvas.write
        errors = [layer.relative_error for side in report.sides for layer in side.layers if 0 < layer.relative_error < inf]
        self._bounds, self._largest = scales.classes(errors, len(COLOURS)), max(errors, default=1)
        y = self._headline(MARGIN)
        for letter, side in zip(letters(report), report.sides, strict=True):
            y = self._worst(self._heat_map(self._totals(y, letter, side), side), side)
        self.image = canvas.down_to(self._legend(y) + MARGIN)

    def _headline(self, y: int) -> int:
        report, room = self._report, WIDTH - 2 * MARGIN
        self._write(MARGIN, y, title_of(report), TITLE, limit=room)
        lines = [(against_of(report), FAINT)] + ([(RANDOM, ALARM)] if report.random else [])
        lines += [(latents_text(report.latents), FAINT)] if report.latents else []
        for number, (line, colour) in enumerate(lines):
            self._write(MARGIN, y + 46 + LINE * number, line, TEXT, colour, limit=room)
        return y + 66 + LINE * len(lines)

    def _totals(self, y: int, letter: str, side: Side) -> int:
        total = whole(side.layers)
        said = [f"{total.layers} layers", *(f"{figure.name} {figure.text(total)}" for figure in figures_of(self._report))]
        name = f"{letter}: {side.name}, {', '.join(side.formats)}" if letter else ", ".join(side.formats)
        self._write(MARGIN, y, name, TEXT, limit=WIDTH - 2 * MARGIN)
        self._write(MARGIN, y + 30, "   |   ".join(said), SMALL, FAINT, limit=WIDTH - 2 * MARGIN)
        return y + 70

    def _heat_map(self, y: int, side: Side) -> int:
        kinds, blocks = (sorted({group(layer.layer) for layer in side.layers}, key=natural) for group in (kind_of, block_of))
        step = min(_WIDEST, (WIDTH - MARGIN - LABELS) / max(1, len(blocks)))
        for number, kind in enumerate(kinds[:_MOST_KINDS]):
            self._write(LABELS - 14, y + _CELL * number + _CELL // 2, kind, SMALL, anchor="rm", limit=LABELS - MARGIN)
        for layer in side.layers:
            row, column = kinds.index(kind_of(layer.layer)), blocks.index(block_of(layer.layer))
            if row < _MOST_KINDS:
                left, top, inset = LABELS + column * step, y + row * _CELL, min(1.0, step / 8)
                self._draw.rectangle((left + inset, top + 1, left + step - inset, top + _CELL - 1), fill=self._colour(layer.relative_error))
        bottom = y + _CELL * min(_MOST_KINDS, len(kinds))
        self._numbers(bottom + 4, blocks, step)
        return bottom + 44

    def _numbers(self, y: int, blocks: Sequence[str], step: float) -> None:
        every = next(each for each in (1, 2, 5, 10, 50, 1000) if step * each >= 30)
        for number, block in enumerate(blocks):
            if number % every == 0:
                self._write(LABELS + (number + 0.5) * step, y, block.rpartition(".")[2], SMALL, FAINT, anchor="ma", limit=int(step * every))

    def _worst(self, y: int, side: Side) -> int:
        self._write(MARGIN, y, "the worst ten", TEXT, FAINT)
        y, room = y + 34, WIDTH - MARGIN - _NAMES - 260
        for layer in worst(side.layers):
            middle, length = y + _BAR // 2, room * min(1.0, layer.relative_error / self._largest)
            self._write(_NAMES - 14, middle, layer.layer, SMALL, anchor="rm", limit=_NAMES - MARGIN)
            self._draw.rectangle((_NAMES, y + 2, _NAMES + room, y + _BAR - 2), fill=GRID)
            self._draw.rectangle((_NAMES, y + 2, _NAMES + length, y + _BAR - 2), fill=self._colour(layer.relative_error))
            self._write(_NAMES + room + 14, middle, f"{ERROR.text(layer)}, {SQNR.text(layer)}, {layer.format}", SMALL, FAINT, anchor="lm", limit=246)
            y += _BAR + 4
        return y + 30

    def _legend(self, y: int) -> int:
        """The colours with the bounds between them."""
        self._write(LABELS - 14, y + 8, "relative error", SMALL, FAINT, anchor="rm")
        for number, colour in enumerate(COLOURS):
            self._draw.rectangle((LABELS + 80 * number, y, LABELS + 80 * (number + 1), y + 16), fill=colour)
        for number, bound in enumerate(self._bounds):
            self._write(LABELS + 80 * (number + 1), y + 22, percent(bound), SMALL, FAINT, anchor="ma")
        return y + 44

    def _colour(self, error: float) -> str:
        return COLOURS[sum(error >= bound for bound in self._bounds)]
