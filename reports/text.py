"""An inspection as text: for the shell and for the node."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from .families import Family
from .inspect import Inspection
from .layers import Layer, natural
from .tensor_checks import DataReport, ScaleRange

_INDENT = 12
_MOST_FINDINGS, _MOST_LAYERS = 20, 80


def to_text(inspection: Inspection) -> str:
    """The report in lines of a heading and what it says; nothing in it depends on the terminal."""
    sections = {
        "model": [_model(inspection)],
        "stored": [f"{size_text(inspection.bytes)}, {_files(inspection)}, {inspection.tensors} tensors", *_precisions(inspection)],
        "format": [_format(inspection)],
        "bytes": table((kind, size_text(size), _share(size, sum(inspection.kinds.values()))) for kind, size in inspection.kinds.items()),
        "layers": _first_of(table(_layers(inspection.layers)), _MOST_LAYERS),
        "note": list(inspection.notes),
        "schemes": [f"on {inspection.device}", *_schemes(inspection)],
        "data": _data(inspection.data),
    }
    lines = [inspection.path]
    for heading, said in sections.items():
        lines += [f"  {heading if not number else '':{_INDENT - 2}}{line}" for number, line in enumerate(said)]
    return "\n".join(line.rstrip() for line in lines)


def _model(inspection: Inspection) -> str:
    family = inspection.family
    counted = count_text(inspection.parameters) if inspection.parameters is not None else "uncounted (packed)"
    if family is None:
        return f"{inspection.title}, {counted} parameters"
    twin = f", or {family.twin} (the shapes are the same)" if family.twin else ""
    return f"{inspection.title}: {family.name}{twin}; {counted} parameters, {dimensions_text(family)}"


def _files(inspection: Inspection) -> str:
    count = len(inspection.files)
    return inspection.kind if count == 1 else f"{inspection.kind}, {count} files"


def _precisions(inspection: Inspection) -> list[str]:
    return [", ".join(f"{name} {size_text(size)} in {count}" for name, (count, size) in inspection.precisions.items())]


def _format(inspection: Inspection) -> str:
    if inspection.format:
        layers = sum(layer.scale_dtype is not None for layer in inspection.layers)
        return f"{inspection.format}, {layers} quantized layers"
    if inspection.component is None:
        return "none that LightQuant reads"
    return "not quantized in one of LightQuant's formats"


def _layers(layers: Sequence[Layer]) -> Iterator[tuple[str, ...]]:
    """A row for each role, shape and precision: a role that is stored in several ways has several, with the blocks they are found in."""
    rows: dict[tuple, list[Layer]] = {}
    for layer in layers:
        rows.setdefault((layer.role, layer.shape, layer.precision), []).append(layer)
    ways: dict[str, int] = {}
    for role, *_ in rows:
        ways[role] = ways.get(role, 0) + 1
    for (role, shape, precision), found in sorted(rows.items(), key=lambda row: ("*" in row[0][0], natural(row[0][0]))):
        where = f"blocks {_ranges(int(layer.block.rsplit('.', 1)[1]) for layer in found if layer.block)}" if ways[role] > 1 else ""
        yield role, f"{len(found)} x" if "*" in role else "", f"[{', '.join(map(str, shape))}]", precision, where


def _schemes(inspection: Inspection) -> list[str]:
    fitting = [row for row in inspection.schemes if row.fits]
    others: dict[str, list[str]] = {}
    for row in inspection.schemes:
        if not row.fits:
            others.setdefault(row.format, []).append(row.scheme)
    lines = [f"auto takes {said}" if len(inspection.auto) == 1 else f"auto takes for {name} {said}" for name, said in inspection.auto.items()]
    lines = lines or ["none: no scheme reads this file as it is"]
    cells: list[tuple[str, ...]] = []
    for row in fitting:
        cells += [(row.scheme, "runs" if row.runs else "can't", row.why)] + ([] if row.runs else [("", "", f"hardware: {row.hardware}")])
    lines += table(cells)
    return lines + table((", ".join(names), f"{'read' if len(names) > 1 else 'reads'} {format_name}") for format_name, names in others.items())


def _data(data: DataReport | None) -> list[str]:
    if data is None:
        return ["not read; scale ranges, NaN, empty and saturated rows are found when it is"]
    left_out = f"; {len(data.skipped)} packed or integer ones left out" if data.skipped else ""
    lines = [f"read {size_text(data.bytes)} in {data.tensors} tensors{left_out}"]
    if data.scales:
        lines += ["scales: least, median, largest, span", *table([_span("all", data.scales), *(_span(*each) for each in _by_role(data.scales))])]
    if not data.findings:
        return [*lines, "nothing suspicious"]
    kinds = Counter(each.what for each in data.findings)
    lines.append(f"suspicious: {', '.join(f'{what} in {count} tensors' for what, count in kinds.most_common())}")
    found = table((each.tensor, f"{each.count} / {each.of}", each.what, _first(each.first, each.count)) for each in data.findings)
    return lines + _first_of(found, _MOST_FINDINGS)


def _by_role(scales: Sequence[ScaleRange]) -> Iterable[tuple[str, list[ScaleRange]]]:
    roles: dict[str, list[ScaleRange]] = {}
    for each in scales:
        roles.setdefault(each.role, []).append(each)
    return roles.items()


def _span(name: str, scales: Sequence[ScaleRange]) -> tuple[str, ...]:
    """The range of several layers together; their median is the median layer's."""
    known = [each for each in scales if each.median is not None]
    if not known:
        return name, "no finite scale"
    least, largest = min(each.min for each in known), max(each.max for each in known)
    median = sorted(each.median for each in known)[len(known) // 2]
    return name, *(f"{value:.3g}" for value in (least, median, largest)), f"{largest / least:,.0f} times" if least > 0 else "from zero or below"


def _first(numbers: Sequence[int], count: int) -> str:
    return f"first: {', '.join(map(str, numbers))}{', ...' if count > len(numbers) else ''}" if numbers else ""


def _first_of(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"and {len(lines) - most} more, all of them in the JSON"]


def _ranges(numbers: Iterable[int]) -> str:
    """Block numbers as ranges: 0-3, 38, 39."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns brought under each other; the last one runs free."""
    rows = list(rows)
    widths = [max((len(row[column]) for row in rows if len(row) > column + 1), default=0) for column in range(max(map(len, rows), default=0))]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)) for row in rows]


def dimensions_text(family: Family) -> str:
    """How deep and wide a model is."""
    return f"{family.blocks} block{'s' if family.blocks != 1 else ''} of width {family.width}"


def size_text(size: int) -> str:
    """Bytes in the unit that suits them."""
    return next((f"{size / unit:.2f} {name}" for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")) if size >= unit), f"{size} bytes")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def count_text(number: int) -> str:
    """A number in words for its millions."""
    return next((f"{number / unit:.2f} {name}" for unit, name in ((10**9, "billion"), (10**6, "million")) if number >= unit), str(number))
