"""The three plots of a report, as inline SVG. Each says in words what it shows, for whoever can't see it."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, inf
from typing import NamedTuple

from . import scales
from .markup import Markup, element
from .style import CLASSES

SIDES = ("one", "two")
"""The style's names for the colours of the checkpoints that are shown beside each other."""

Write = Callable[[float], str]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 300, 62, 14, 14, 46
"""Of the scatter and the histogram, in the units of their view box: on a phone one of them fills the screen's width."""


class Point(NamedTuple):
    """side: which checkpoint; text: what a pointer on it is told."""

    x: float
    y: float
    side: int
    text: str


class Cell(NamedTuple):
    value: float
    text: str


def heat_map(
    name: str, about: str, rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Cell], bounds: Sequence[float], write: Write
) -> Markup:
    """A cell for each (row, column); bounds: of the colours, see scales.classes; write: a value as text."""
    label = 14 + max((7 * len(row) for row in rows), default=0)
    width, height = max(12, min(30, 720 // max(1, len(columns)))), 22
    right, bottom = label + width * len(columns), height * len(rows)
    drawn = [element("text", row, x=label - 6, y=height * number + 15, text_anchor="end") for number, row in enumerate(rows)]
    every = max(1, ceil(26 / width))
    for number, column in enumerate(columns):
        if number % every == 0:
            drawn.append(element("text", column, x=label + width * (number + 0.5), y=bottom + 16, text_anchor="middle", class_="tick"))
    for line, row in enumerate(rows):
        for number, column in enumerate(columns):
            cell = cells.get((row, column))
            if cell:
                place = {"x": label + width * number + 1, "y": height * line + 1, "width": width - 2, "height": height - 2}
                shade = f"h{sum(cell.value >= bound for bound in bounds)}"
                drawn.append(element("rect", element("title", cell.text), class_=shade, **place))
    drawn.append(_legend(bounds, label, bottom + 34, write))
    total = max(right, label + 56 * CLASSES) + 8
    return _plot(name, about, total, bottom + 74, drawn, style=f"min-width:{min(total, 900)}px;max-width:{total * 1.3:.0f}px")


def scatter(name: str, about: str, points: Sequence[Point], labels: tuple[str, str], write: tuple[Write, Write]) -> Markup:
    """Dots on two logarithmic axes. labels, write: of x and y."""
    shown = [point for point in points if point.x > 0 and 0 < point.y < inf]
    x = scales.logarithmic([point.x for point in shown], _LEFT, _WIDTH - _RIGHT)
    y = scales.logarithmic([point.y for point in shown], _HEIGHT - _BOTTOM, _TOP)
    drawn = _frame(x, y, labels, write)
    for point in shown:
        place = {"x": x.at(point.x), "y": y.at(point.y)}
        drawn.append(_mark(point.side, place["x"], place["y"], point.text))
    return _plot(name, about, _WIDTH, _HEIGHT, drawn)


def histogram(name: str, about: str, sides: Sequence[Sequence[float]], label: str, write: Write) -> Markup:
    """How many values of each side lie in each bin; the bins are whole numbers wide."""
    values = [value for side in sides for value in side]
    low, high = (floor(min(values)), floor(max(values)) + 1) if values else (0, 1)
    step = max(1, ceil((high - low) / 24))
    bins = list(range(low, high, step))
    counts = [[sum(start <= value < start + step for value in side) for start in bins] for side in sides]
    x = scales.Axis(low, bins[-1] + step, _LEFT, _WIDTH - _RIGHT)
    y = scales.linear([count for side in counts for count in side], _HEIGHT - _BOTTOM, _TOP)
    drawn = _frame(x, y, (label, "layers"), (write, lambda value: f"{value:.0f}"), (None, [tick for tick in y.ticks() if tick == int(tick)]))
    width = (x.at(step) - x.at(0)) / len(sides)
    for side, each in enumerate(counts):
        for start, count in zip(bins, each, strict=True):
            if count:
                text = f"{write(start)} to {write(start + step)}: {count} layer{'s' if count > 1 else ''}"
                place = {"x": x.at(start) + width * side + 0.75, "y": y.at(count), "width": max(1.0, width - 1.5), "height": y.at(0) - y.at(count)}
                drawn.append(element("rect", element("title", text), class_=SIDES[side], **place))
    return _plot(name, about, _WIDTH, _HEIGHT, drawn)


def _mark(side: int, x: float, y: float, text: str) -> Markup:
    """A circle for the first checkpoint, a square for the second: told apart without colour."""
    shape = {"cx": x, "cy": y, "r": 4} if side == 0 else {"x": x - 3.5, "y": y - 3.5, "width": 7, "height": 7}
    return element("circle" if side == 0 else "rect", element("title", text), class_=f"dot {SIDES[side]}", **shape)


def _frame(
    x: scales.Axis, y: scales.Axis, labels: tuple[str, str], write: tuple[Write, Write], ticks: tuple[list | None, list | None] = (None, None)
) -> list[Markup]:
    """Grid, ticks and the names of both axes."""
    drawn = []
    for tick in ticks[1] if ticks[1] is not None else y.ticks():
        drawn.append(element("line", x1=x.start, x2=x.stop, y1=y.at(tick), y2=y.at(tick), class_="grid"))
        drawn.append(element("text", write[1](tick), x=x.start - 6, y=y.at(tick) + 4, text_anchor="end", class_="tick"))
    for tick in ticks[0] if ticks[0] is not None else x.ticks():
        drawn.append(element("line", x1=x.at(tick), x2=x.at(tick), y1=y.start, y2=y.start + 4, class_="axis"))
        drawn.append(element("text", write[0](tick), x=x.at(tick), y=y.start + 18, text_anchor="middle", class_="tick"))
    drawn.append(element("line", x1=x.start, x2=x.stop, y1=y.start, y2=y.start, class_="axis"))
    drawn.append(element("text", labels[0], x=(x.start + x.stop) / 2, y=y.start + 38, text_anchor="middle"))
    middle = (y.start + y.stop) / 2
    drawn.append(element("text", labels[1], x=14, y=middle, text_anchor="middle", transform=f"rotate(-90 14 {middle:.0f})"))
    return drawn


def _legend(bounds: Sequence[float], left: float, top: float, write: Write) -> Markup:
    """The colours in a row with the bounds between them."""
    swatches = [element("rect", x=left + 56 * number, y=top, width=56, height=12, class_=f"h{number}") for number in range(len(bounds) + 1)]
    style = {"y": top + 28, "text_anchor": "middle", "class_": "tick"}
    texts = [element("text", write(bound), x=left + 56 * number, **style) for number, bound in enumerate(bounds, 1)]
    return element("g", swatches, texts)


def _plot(name: str, about: str, width: float, height: float, drawn: Sequence[Markup], style: str | None = None) -> Markup:
    """name: unique in the page; about: the text alternative."""
    described = element("desc", about, id=f"{name}-about")
    return element("svg", described, drawn, viewBox=f"0 0 {width:.0f} {height:.0f}", role="img", aria_labelledby=f"{name}-about", style=style)
