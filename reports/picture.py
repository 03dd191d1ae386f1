"""An inspection as a picture: bytes by block, and the precision of each layer in each block."""

from collections import Counter
from collections.abc import Iterable, Sequence

from PIL import Image

from .canvas import ALARM, FAINT, GRID, LABELS, LINE, MARGIN, PAPER, SMALL, TEXT, TITLE, WIDTH, Canvas
from .inspect import Inspection
from .layers import OUTSIDE, SCALES, Block, place_of
from .text import count_text, dimensions_text, size_text

_BAR, _GAP, _CHART, _LARGEST_CELL, _MOST_ROWS, _MOST_HEIGHT, _WIDEST = 34, 14, 260, 26, 28, 2000, 100

_COLOURS = {
    "fp8 e4m3, one scale a row": "#2f6fb5", "fp8 e4m3, one scale a tensor": "#86b6e6", "fp8 e4m3, no scale": "#c9ddf2",
    "int8, one scale a row": "#23897b", "int8, one scale a tensor": "#86c9bd", "int8, no scale": "#c5e6e0",
    "bf16": "#f0b13c", "fp16": "#e2803f", "fp32": "#9a6fb0", "scales": "#3d434d",
}  # fmt: skip
_SPARE = ("#b5485d", "#7a8b2f", "#5c6bc0", "#a1887f", "#78909c", "#d4a5c9")
"""For ways of storing that are not in the table."""


def draw(inspection: Inspection) -> Image.Image:
    """The picture, RGB, as high as the model needs."""
    return _Picture(inspection).image


class _Picture:
    def __init__(self, inspection: Inspection):
        self._inspection = inspection
        self._blocks = [block for block in inspection.blocks if block.group != OUTSIDE]
        roles = _roles(inspection)
        self._roles, self._hidden = roles[:_MOST_ROWS], len(roles[_MOST_ROWS:])
        self._colours = _colours_for([*_totals(inspection.blocks), *(layer.precision for layer in inspection.layers)])
        found = inspection.data.findings if inspection.data else ()
        self._alarmed = {place_of(finding.tensor) for finding in found}
        self._suspicious = {finding.tensor.removesuffix(end) for finding in found for end in (".weight", *SCALES) if finding.tensor.endswith(end)}
        self._step = min(_WIDEST, (WIDTH - MARGIN - LABELS) / max(1, len(self._blocks)))
        self._cell = min(_LARGEST_CELL, max(14, int(self._step)))
        canvas = Canvas(_MOST_HEIGHT)
        self._draw, self._write = canvas.draw, canvas.write
        below = self._totals(self._headline(MARGIN))
        if self._blocks:
            below = self._grid(self._columns(below))
        self.image = canvas.down_to(self._legend(below) + MARGIN)

    def _headline(self, y: int) -> int:
        family, inspection = self._inspection.family, self._inspection
        twin = f", or {family.twin}" if family and family.twin else ""
        title = f"{family.name}{twin}, {dimensions_text(family)}" if family else inspection.title
        self._write(MARGIN, y, title, TITLE, limit=WIDTH - 2 * MARGIN)
        name = inspection.path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        counted = f"{count_text(inspection.parameters)} parameters" if inspection.parameters else ""
        facts = filter(None, (name, inspection.format or "not one of LightQuant's formats", size_text(inspection.bytes), inspection.kind, counted))
        self._write(MARGIN, y + 42, "   |   ".join(facts), TEXT, FAINT, limit=WIDTH - 2 * MARGIN)
        return y + 100

    def _totals(self, y: int) -> int:
        """One bar for the blocks and one for the rest, on one scale, so that the blocks' chart need not make room for a large embedding."""
        parts = {"in the blocks": self._blocks, OUTSIDE: [block for block in self._inspection.blocks if block.group == OUTSIDE]}
        sizes = {name: _totals(blocks) for name, blocks in parts.items()}
        largest = max(1, *(sum(each.values()) for each in sizes.values()))
        room = WIDTH - MARGIN - LABELS - 140
        for name, each in sizes.items():
            self._write(LABELS - 14, y + _BAR // 2, name, TEXT, anchor="rm")
            x = float(LABELS)
            for precision, size in each.items():
                self._draw.rectangle((x, y, x + room * size / largest, y + _BAR), fill=self._colours[precision])
                x += room * size / largest
            self._write(int(x) + 10, y + _BAR // 2, size_text(sum(each.values())), TEXT, anchor="lm")
            y += _BAR + _GAP
        return y + 30

    def _columns(self, y: int) -> int:
        """Stacked columns, a block each."""
        self._write(LABELS, y - 4, "bytes of each block", TEXT, FAINT)
        y += 34
        top = max(sum(block.bytes.values()) for block in self._blocks)
        tick = _round_step(top)
        scale, order = (_CHART - 34) / top, _totals(self._blocks)
        for level in range(0, top + 1, tick):
            height = y + _CHART - 34 - level * scale
            self._draw.line((LABELS, height, WIDTH - MARGIN, height), fill=GRID)
            self._write(LABELS - 14, int(height), size_text(level).replace(".00", "") if level else "0", SMALL, FAINT, anchor="rm")
        for number, block in enumerate(self._blocks):
            left, bottom = LABELS + number * self._step, y + _CHART - 34.0
            for precision in order:
                height = block.bytes.get(precision, 0) * scale
                if height:
                    self._box(left, bottom - height, bottom, self._colours[precision])
                bottom -= height
        return y + _CHART - 20

    def _grid(self, y: int) -> int:
        """A row for each role, a column for each block; what was found in the data is crossed."""
        more = f" (the JSON has {self._hidden} more a block)" if self._hidden else ""
        self._write(LABELS, y + 8, f"precision of each layer{more}", TEXT, FAINT)
        y += 42
        stored = {(layer.block, layer.role.split("*", 1)[1]): layer for layer in self._inspection.layers if layer.block}
        for row, role in enumerate(self._roles):
            top = y + row * self._cell
            self._write(LABELS - 14, top + self._cell // 2, role.strip("._"), SMALL, anchor="rm", limit=LABELS - MARGIN)
            for column, block in enumerate(self._blocks):
                layer = stored.get((block.name, role))
                if layer:
                    left = LABELS + column * self._step
                    self._box(left, top + 1, top + self._cell - 1, self._colours[layer.precision])
                    if layer.name in self._suspicious:
                        self._cross(left + self._step / 2, top + self._cell / 2)
        y += len(self._roles) * self._cell + 4
        self._numbers(y)
        return y + 70

    def _numbers(self, y: int) -> None:
        groups = dict.fromkeys(block.group for block in self._blocks)
        every = next(step for step in (1, 2, 5, 10, 50, 1000) if self._step * step >= 30)
        for column, block in enumerate(self._blocks):
            middle = int(LABELS + (column + 0.5) * self._step)
            alarm = (block.group, block.number) in self._alarmed
            if block.number % every == 0 or alarm:
                self._write(middle, y, str(block.number), SMALL, ALARM if alarm else FAINT, anchor="ma")
        for group in groups:
            columns = [column for column, block in enumerate(self._blocks) if block.group == group]
            middle = int(LABELS + (columns[0] + columns[-1] + 1) / 2 * self._step)
            self._write(middle, y + 22, group, SMALL, anchor="ma", limit=max(60, int(len(columns) * self._step)))

    def _legend(self, y: int) -> int:
        """What each colour means, three to a line. Returns where it ends."""
        entries = [(f"{precision}: {size_text(size)}", self._colours[precision]) for precision, size in _totals(self._inspection.blocks).items()]
        entries += [("suspicious values", ALARM)] if self._alarmed else []
        for number, (text, colour) in enumerate(entries):
            x, top = LABELS + number % 3 * (WIDTH - MARGIN - LABELS) // 3, y + number // 3 * LINE
            if colour == ALARM:
                self._cross(x + 10, top + 10)
            else:
                self._draw.rectangle((x, top, x + 20, top + 20), fill=colour)
            self._write(x + 30, top + 10, text, SMALL, anchor="lm")
        return y + (len(entries) + 2) // 3 * LINE

    def _box(self, left: float, top: float, bottom: float, colour: str) -> None:
        inset = min(2.0, self._step / 8)
        self._draw.rectangle((left + inset, top, max(left + inset, left + self._step - inset), max(top, bottom)), fill=colour)

    def _cross(self, x: float, y: float) -> None:
        for direction in (-1, 1):
            self._draw.line((x - 6, y - 6 * direction, x + 6, y + 6 * direction), fill=PAPER, width=6)
        for direction in (-1, 1):
            self._draw.line((x - 5, y - 5 * direction, x + 5, y + 5 * direction), fill=ALARM, width=3)


def _totals(blocks: Iterable[Block]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for block in blocks:
        total.update(block.bytes)
    return dict(total.most_common())


def _roles(inspection: Inspection) -> list[str]:
    """What the rows of the grid are: the layers' names behind the block's, in the file's order."""
    return list(dict.fromkeys(layer.role.split("*", 1)[1] for layer in inspection.layers if layer.block))


def _colours_for(precisions: Sequence[str]) -> dict[str, str]:
    others = [precision for precision in dict.fromkeys(precisions) if precision not in _COLOURS]
    return {**_COLOURS, **{precision: _SPARE[number % len(_SPARE)] for number, precision in enumerate(others)}}


def _round_step(top: int) -> int:
    """The space between two ticks in bytes: a power of two with at most five below the top."""
    step = 1
    while step * 5 < top:
        step *= 2
    return step
