"""The English texts in the pack's source, as templates: {0}, {1} stand for the fields of an f-string, in their order."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PLACES = (
    "formats", "schemes.py", "kernels", "loaders", "convert", "reports", "bridge", "fusion", "attention", "offload", "lora", "routes", "nodes", "cli",
)  # fmt: skip

FIELD = re.compile(r"\{\d+\}")
_PROSE = re.compile(r"(?<![\w./<-])[A-Za-z][a-z']{2,}(?![\w/]|\.\w)")
"""A word, and no part of a name, path or tag."""

_NOT_SHOWN = ("debug", "info", "warning", "error", "exception", "compile", "add_argument", "add_parser", "ArgumentParser", "add_argument_group")
"""Calls whose texts are the log's, a pattern's or the command line's own help."""
_SCHEMAS = ("define_schema", "_schema")
"""Class methods whose texts are in nodeDefs.json."""
_HELP = ("add_arguments", "add_comfyui", "add_device")
"""Functions whose texts are the command line's own help."""
_DRAWN = ("reports/picture.py", "reports/error_report/picture.py", "reports/canvas.py")
"""Pillow's own font, which they are drawn with, has no Chinese."""
_NO_TEXTS = ("HELP", "STYLE", "SCRIPT", "ASK_COMFYUI")
"""Names of what is no text of a node: help of the command line, code in other languages."""

Parts = list[str | None]
"""Literals, and None for each field."""


def python_files() -> list[Path]:
    """The pack's source."""
    places = [REPOSITORY / place for place in PLACES if (REPOSITORY / place).exists()]
    return [file for place in places for file in ([place] if place.suffix else sorted(place.rglob("*.py")))]


def templates(shown: bool = False) -> set[str]:
    """Every string of the source but docstrings, line by line. shown: those alone that a node, a report or the command line may show as a text."""
    files = (file for file in python_files() if not (shown and file.relative_to(REPOSITORY).as_posix() in _DRAWN))
    return set().union(*(templates_of(file.read_text(encoding="utf-8"), shown) for file in files))


def templates_of(source: str, shown: bool = False) -> set[str]:
    """The same of one file."""
    lines = (line for node in _strings(ast.parse(source), shown) for parts in _variants(node) for line in _lines(parts))
    return {text for text in map(_written, lines) if text and (not shown or is_text(text))}


def is_text(template: str) -> bool:
    """Whether it reads like a text: words beside each other, or a word beside a field."""
    return bool(_PROSE.search(template)) and " " in template.strip()


def _strings(node: ast.AST, shown: bool) -> Iterator[ast.expr]:
    """The outermost strings below a node, and those inside the fields of each."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # a docstring
        if shown and _is_not_shown(child):
            continue
        if _is_string(child):
            yield child
            for field in _fields(child):
                yield from _strings(ast.Expression(field), shown)
        else:
            yield from _strings(child, shown)


def _is_not_shown(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name in _HELP or (node.name in _SCHEMAS and bool(node.args.args) and node.args.args[0].arg == "cls")
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Name) and node.targets[0].id in _NO_TEXTS
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _NOT_SHOWN


def _is_string(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_string(node.left) or _is_string(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _variants(node: ast.expr) -> list[Parts]:
    """The node's parts, once for each way in which a choice between two plain strings in it may end."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [[node.value]]
    if isinstance(node, ast.BinOp) and _is_string(node):
        return _combined([node.left, node.right])
    if isinstance(node, ast.JoinedStr):
        return _combined(node.values)
    if isinstance(node, ast.FormattedValue):
        return _variants(node.value)
    if _is_choice(node):
        return [[str(node.body.value)], [str(node.orelse.value)]]
    return [[None]]


def _combined(nodes: list[ast.expr]) -> list[Parts]:
    return [list(itertools.chain.from_iterable(choice)) for choice in itertools.product(*map(_variants, nodes))]


def _fields(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _fields(value)
    elif isinstance(node, ast.FormattedValue):
        yield from _fields(node.value)
    elif isinstance(node, ast.BinOp) and _is_string(node):
        yield from (*_fields(node.left), *_fields(node.right))
    elif not isinstance(node, ast.Constant) and not _is_choice(node):
        yield node


def _is_choice(node: ast.expr) -> bool:
    return isinstance(node, ast.IfExp) and all(isinstance(each, ast.Constant) for each in (node.body, node.orelse))


def _lines(parts: Parts) -> Iterator[Parts]:
    """Each line by itself, as a text is read line by line."""
    line: Parts = []
    for part in parts:
        first, *more = [None] if part is None else re.split(r"[\n\r]", part)
        line.append(first)
        for each in more:
            yield line
            line = [each]
    yield line


def _written(parts: Parts) -> str:
    """The template; the spaces that put a text under another are none of it."""
    numbers = itertools.count()
    text = "".join(f"{{{next(numbers)}}}" if part is None else part for part in parts)
    return re.sub(r"^ {2,}| {2,}$", "", text)
