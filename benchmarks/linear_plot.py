"""The plot of a benchmarks/linear.py file: a panel a shape, the number of rows across, how many times bf16's speed up, a line a kernel."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from svg_parts import page, text

WIDTH, HEIGHT, GAP, MARGIN, HEAD, LEGEND = 330, 240, 40, 46, 50, 210
"""Of a panel and around it, in pixels; LEGEND is the width at the right."""

LOWEST_TOP, HIGHEST_TOP = 2.0, 4.0
"""Where the speeds' axis may end; what is faster is drawn at the edge."""

COLOURS = {
    "fp8-channel": ("#1f4e9c", "#3b82f6", "#0ea5e9", "#8ab8ff"),
    "fp8-b128": ("#0f766e", "#34c3b0"),
    "int8-channel": ("#b45309", "#ef4444", "#f59e0b", "#9f1239", "#fb7185", "#d6a354"),
    "int4-g128": ("#6d28d9", "#a78bfa", "#4d7c0f", "#d946ef"),
}
"""Format -> the colours of its kernels, in their order."""


class Line(NamedTuple):
    """points: rows and times bf16, by rows."""

    kernel: str
    colour: str
    points: tuple[tuple[int, float], ...]


def svg(result: dict) -> str:
    """The plot of a result as SVG text."""
    shapes = dict.fromkeys((row["model"], row["inputs"], row["outputs"]) for row in result["rows"])
    models = list(dict.fromkeys(model for model, *_ in shapes))
    columns = max(sum(1 for model, *_ in shapes if model == each) for each in models)
    colours = _colours(result)
    drawn = [row["times_bf16"] for row in result["rows"] if row["kernel"] in colours]
    highest = min(HIGHEST_TOP, max([LOWEST_TOP, *(math.ceil(2 * times) / 2 for times in drawn)]))
    width, height = columns * (WIDTH + GAP) + MARGIN + LEGEND, HEAD + len(models) * (HEIGHT + GAP + MARGIN)
    parts = [
        text(MARGIN, 22, "Speed of quantized linears, bf16 = 1; activation quantization included", size=15),
        text(MARGIN, 40, f"{result['environment']['gpu']}, torch {result['environment']['torch']}; rows across"),
    ]
    for down, model in enumerate(models):
        for across, shape in enumerate(shape for shape in shapes if shape[0] == model):
            rows = [row for row in result["rows"] if (row["model"], row["inputs"], row["outputs"]) == shape]
            title = f"{model}, {shape[1]} → {shape[2]}"
            left, top = MARGIN + across * (WIDTH + GAP), HEAD + GAP + down * (HEIGHT + GAP + MARGIN)
            parts += _panel(left, top, title, highest, sorted({row["rows"] for row in rows}), _lines(rows, colours))
    parts += _legend(width - LEGEND + GAP, HEAD + GAP, colours)
    return page(width, height, parts)


def _colours(result: dict) -> dict[str, str]:
    """Kernel -> colour, of the variants that run under their schemes' names."""
    colours = {}
    for format_name, palette in COLOURS.items():
        labels = [label for label, its in result["formats"].items() if its == format_name and "(" not in label]
        colours |= {label: palette[index % len(palette)] for index, label in enumerate(labels)}
    return colours


def _lines(rows: Sequence[dict], colours: dict[str, str]) -> Iterator[Line]:
    for kernel, colour in colours.items():
        points = sorted((row["rows"], row["times_bf16"]) for row in rows if row["kernel"] == kernel)
        if points:
            yield Line(kernel, colour, tuple(points))


def _panel(left: float, top: float, title: str, highest: float, heights: Sequence[int], lines: Iterator[Line]) -> Iterator[str]:
    low, high = math.log(heights[0]), math.log(max(heights[-1], heights[0] + 1))

    def x(count: int) -> float:
        return left + WIDTH * (math.log(count) - low) / (high - low)

    def y(times: float) -> float:
        return top + HEIGHT * (1 - min(times, highest) / highest)

    yield text(left, top - 8, title, size=12)
    for tick in (half / 2 for half in range(int(2 * highest) + 1)):
        yield f'<path d="M{left} {y(tick):.1f}h{WIDTH}" stroke="{"#666" if tick == 1 else "#ddd"}"/>'
        yield text(left - 5, y(tick) + 4, f"{tick:g}", anchor="end")
    for count in heights:
        yield text(x(count), top + HEIGHT + 15, f"{count / 1000:.0f}k" if count >= 1000 else str(count), anchor="middle")
    for line in lines:
        places = [(x(count), y(times)) for count, times in line.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        yield f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="1.6"><title>{escape(line.kernel)}</title></polyline>'
        yield from (f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2" fill="{line.colour}"/>' for a, b in places)


def _legend(left: float, top: float, colours: dict[str, str]) -> Iterator[str]:
    for index, (kernel, colour) in enumerate(colours.items()):
        yield f'<path d="M{left} {top + index * 18}h22" stroke="{colour}" stroke-width="3"/>'
        yield text(left + 28, top + index * 18 + 4, kernel)
