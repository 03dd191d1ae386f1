"""HTML and SVG as text: every string is escaped where it enters an element, so no name from a file is ever markup."""

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is markup already; only `element`, `join` and `raw` make it."""

    __slots__ = ()


VOID = frozenset({"meta", "link", "br", "hr"})
"""HTML's elements without an end; SVG's are all closed."""


def element(tag: str, *children: str | Iterable[str], **attributes: object) -> Markup:
    """<tag>. children: Markup as it is, any other string escaped; attributes: None leaves one out, _ in names stands for -."""
    written = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for name, value in attributes.items() if value is not None)
    if tag in VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: str | Iterable[str]) -> Markup:
    """The children one after the other, by the same rule."""
    parts = []
    for child in children:
        parts += [child] if isinstance(child, str) else [*child]
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def raw(text: str) -> Markup:
    """Our own constants, such as the style sheet."""
    return Markup(text)


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
