"""The report as one HTML page: opens offline, in light and dark, on a phone, and reads without colours and without the script."""

from collections.abc import Iterable, Sequence
from math import inf, isfinite

from ... import __version__
from ..layers import natural
from ..page import plots, scales
from ..page.markup import Markup, element, join, raw
from ..page.style import CLASSES, SCRIPT, STYLE
from ..weight_errors import LayerError
from .report import ErrorReport, Side
from .totals import Total, block_of, by_block, by_kind, kind_of, whole, worst
from .words import ERROR, FORMAT, MEANING, NONE, RANDOM, SAVED, SQNR, Figure, against_of, cosine, decibels, figures_of, letters, percent, title_of

Row = tuple[str, Sequence[LayerError | Total | None]]
"""A name and what each side has under it."""


def to_html(report: ErrorReport) -> str:
    """The page as text, to be written in UTF-8."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title_of(report)),
        element("style", raw(STYLE)),
    )
    body = element("body", element("main", _heading(report), _summary(report), _plots(report), _tables(report), _meaning(report)))
    return "<!DOCTYPE html>\n" + element("html", head, body, element("script", raw(SCRIPT)), lang="en") + "\n"


def _heading(report: ErrorReport) -> Markup:
    sides = [
        element("p", _key(number), f"{letter}: " if letter else "", f"{side.name}, {', '.join(side.formats)}", class_="side")
        for number, (letter, side) in enumerate(zip(letters(report), report.sides, strict=True))
    ]
    alarm = [element("p", RANDOM, class_="alarm", role="note")] if report.random else []
    title = title_of(report).partition(":")[0]
    against = element("p", f"{against_of(report)}. Made by LightQuant {__version__}.", class_="faint")
    return element("header", element("h1", title), sides, against, alarm, [element("p", note) for note in report.notes])


def _summary(report: ErrorReport) -> Markup:
    parts: list[Markup] = []
    if report.latents:
        latents = report.latents
        run = {"steps": str(latents.steps), "seed": str(latents.seed)}
        shown = {"relative error": percent(latents.relative_error), "cosine": cosine(latents), **run}
        parts += [element("h2", "Sampled latents"), _cards(shown)]
    parts.append(element("h2", "All quantized layers"))
    for letter, side in zip(letters(report), report.sides, strict=True):
        total = whole(side.layers)
        parts += [element("h3", letter)] if letter else []
        parts.append(_cards({"layers": str(total.layers), **{figure.name: figure.text(total) for figure in figures_of(report)}}))
    return element("section", parts)


def _plots(report: ErrorReport) -> Markup:
    measured = [layer.relative_error for side in report.sides for layer in side.layers if 0 < layer.relative_error < inf]
    bounds = scales.classes(measured, CLASSES)
    maps = [
        part
        for number, (letter, side) in enumerate(zip(letters(report), report.sides, strict=True))
        for part in ([element("h3", letter)] if letter else []) + [_scrolled(_heat_map(number, side, bounds), "Heat map of the error")]
    ]
    points = [
        plots.Point(layer.bytes_saved / 2**20, layer.relative_error, number, _about(layer))
        for number, side in enumerate(report.sides)
        for layer in side.layers
    ]
    saved = "Each quantized layer as a dot. Those at the top left cost most for what they save."
    noise = [[layer.sqnr_db for layer in side.layers if isfinite(layer.sqnr_db)] for side in report.sides]
    shades = element("p", "Darker is worse, in dark mode brighter.", class_="faint")
    return join(
        element("section", element("h2", "Error by block and kind of layer"), shades, maps),
        element(
            "div",
            element(
                "section", element("h2", "Error against bytes saved"), element("p", saved, class_="faint"), _legend(report),
                plots.scatter("scatter", f"{saved} {_extremes(report)}", points, ("MiB saved", "relative error"), (_plain, percent)),
            ),
            element(
                "section", element("h2", "Layers by SQNR"), element("p", "Further right is better.", class_="faint"), _legend(report),
                plots.histogram("histogram", f"How many layers have which SQNR. {_noise(noise)}", noise, "SQNR in dB", _plain),
            ),
            class_="pair",
        ),
    )  # fmt: skip


def _heat_map(number: int, side: Side, bounds: Sequence[float]) -> Markup:
    kinds, blocks = (sorted({group(layer.layer) for layer in side.layers}, key=natural) for group in (kind_of, block_of))
    cells = {(kind_of(layer.layer), block_of(layer.layer)): plots.Cell(layer.relative_error, _about(layer)) for layer in side.layers}
    about = f"Relative error of {side.name}, kinds of layers down, blocks across. The worst: {_named(worst(side.layers, 3))}."
    short = {block: block.rpartition(".")[2] if len({name.rpartition(".")[0] for name in blocks}) == 1 else block for block in blocks}
    columns = [short[block] for block in blocks]
    return plots.heat_map(
        f"map{number}", about, kinds, columns, {(kind, short[block]): cell for (kind, block), cell in cells.items()}, bounds, percent
    )


def _tables(report: ErrorReport) -> Markup:
    figures = figures_of(report)
    parts = [element("h2", "The worst ten")]
    for letter, side in zip(letters(report), report.sides, strict=True):
        rows = [(layer.layer, [layer]) for layer in worst(side.layers)]
        about = f"The layers of largest relative error{f', {letter}' if letter else ''}, the worst first"
        parts.append(_table(about, "layer", rows, [("", figure) for figure in (FORMAT, *figures)]))
    both = [(letter, figure) for letter in letters(report) for figure in figures]
    for heading, group in (("By kind of layer", by_kind), ("By block", by_block)):
        table = _table(f"{heading}: the layers together, as if they were one", "", _joined([group(side.layers) for side in report.sides]), both)
        parts += [element("h2", heading), table] if group is by_kind else [element("details", element("summary", heading), table)]
    rows = _joined([side.layers for side in report.sides])
    columns = [(letter, figure) for letter in letters(report) for figure in (FORMAT, *figures)]
    table = _table("Every quantized layer; a click on a heading sorts", "layer", rows, columns, sortable="")
    parts.append(element("details", element("summary", f"All {len(rows)} layers"), table))
    return element("section", parts)


def _joined(sides: Sequence[Iterable[LayerError | Total]]) -> list[Row]:
    """What the sides have, by name; None where one has not what the other has."""
    by_name = [{each.name if isinstance(each, Total) else each.layer: each for each in side} for side in sides]
    names = sorted({name for side in by_name for name in side}, key=natural)
    return [(name, [side.get(name) for side in by_name]) for name in names]


def _table(about: str, of: str, rows: Sequence[Row], columns: Sequence[tuple[str, Figure]], sortable: str | None = None) -> Markup:
    """columns: the side's letter and the figure, the sides in the order of the rows' entries."""
    order = list(dict.fromkeys(letter for letter, _ in columns))
    heads = [element("th", of or "name", scope="col")]
    heads += [element("th", [element("span", letter), " "] if letter else [], figure.name, scope="col") for letter, figure in columns]
    body = []
    for name, sides in rows:
        cells = [_cell(sides[order.index(letter)], figure) for letter, figure in columns]
        body.append(element("tr", element("th", name, scope="row"), cells))
    table = element("table", element("caption", about), element("thead", element("tr", heads)), element("tbody", body), data_sortable=sortable)
    return _scrolled(table, about)


def _cell(of: LayerError | Total | None, figure: Figure) -> Markup:
    if of is None:
        return element("td", NONE, data_value="-Infinity")
    value = getattr(of, figure.field)
    if isinstance(value, str):
        return element("td", value, class_="words")
    return element("td", figure.text(of), data_value=repr(-inf if value is None else value).replace("inf", "Infinity"))


def _cards(shown: dict[str, str]) -> Markup:
    return element("dl", [element("div", element("dt", name), element("dd", value)) for name, value in shown.items()], class_="cards")


def _scrolled(content: Markup, label: str) -> Markup:
    """Wide things scroll by themselves, with the keyboard too."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)


def _key(number: int) -> Markup:
    return element("span", class_=f"key {plots.SIDES[number]}", aria_hidden="true")


def _legend(report: ErrorReport) -> list[Markup]:
    if len(report.sides) == 1:
        return []
    return [element("p", [join(_key(number), f"{letter} ") for number, letter in enumerate(letters(report))], class_="faint")]


def _meaning(report: ErrorReport) -> Markup:
    shown = {figure.name for figure in figures_of(report)}
    said = [join(element("dt", name), element("dd", f"{text}.")) for name, text in MEANING.items() if name in shown]
    return element("section", element("h2", "What the figures mean"), element("dl", said, class_="meaning"))


def _plain(value: float) -> str:
    return f"{value:g}"


def _about(layer: LayerError) -> str:
    return f"{layer.layer}, {layer.format}: {ERROR.text(layer)}, {SQNR.text(layer)}, {SAVED.text(layer)} saved"


def _named(layers: Iterable[LayerError]) -> str:
    return ", ".join(f"{layer.layer} ({ERROR.text(layer)})" for layer in layers)


def _extremes(report: ErrorReport) -> str:
    layers = [layer for side in report.sides for layer in side.layers if layer.error_per_byte_saved is not None]
    return f"The dearest: {_named(sorted(layers, key=lambda layer: -layer.error_per_byte_saved)[:3])}." if layers else "No layer saves anything."


def _noise(sides: Sequence[Sequence[float]]) -> str:
    return " ".join(f"From {decibels(min(side))} to {decibels(max(side))} in {len(side)} layers." for side in sides if side)
