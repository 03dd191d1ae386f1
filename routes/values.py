"""The values that a request brings, by name: of the right type, one of those that there are, and no others."""

from collections.abc import Collection, Mapping
from math import isfinite

from aiohttp import web

from .answers import refused

_LONGEST = 80
"""Of what was sent, so many characters are said again in an error."""


def one_of(values: Mapping[str, object], name: str, allowed: Collection[str], default: str | None = None) -> str:
    """A name that has to be one of some. default: where it is left out; None where it may not be."""
    value = text(values, name, default)
    if value not in allowed:
        raise refused(web.HTTPBadRequest, f"{name} is {_echo(value)}, where one of these is needed: {', '.join(allowed)}")
    return value


def text(values: Mapping[str, object], name: str, default: str | None = None) -> str:
    """A text."""
    value = values.get(name, default)
    if not isinstance(value, str):
        raise refused(web.HTTPBadRequest, f"{name} is {'absent' if value is None else _echo(value)}, where a text is needed")
    return value


def flag(values: Mapping[str, object], name: str) -> bool:
    """Whether something is wanted; not, where it is left out."""
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise refused(web.HTTPBadRequest, f"{name} is {_echo(value)}, where true or false is needed")
    return value


def number(values: Mapping[str, str], name: str, kind: type[int] | type[float]) -> int | float | None:
    """A number of a query; None where it is left out."""
    value = values.get(name, "")
    try:
        return kind(value) if value else None
    except ValueError as problem:
        raise refused(web.HTTPBadRequest, f"{name} is {_echo(value)}, where a number is needed") from problem


def real(values: Mapping[str, object], name: str) -> float:
    """A finite number of a JSON body."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise refused(web.HTTPBadRequest, f"{name} is {'absent' if value is None else f'{value!r}'}, where a number is needed")
    return float(value)


def texts(values: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Texts of a JSON body; none, where it is left out."""
    value = values.get(name, [])
    if not _is_list_of(value, str):
        raise refused(web.HTTPBadRequest, f"{name} is {value!r}, where a list of texts is needed")
    return tuple(value)


def objects(values: Mapping[str, object], name: str) -> tuple[dict, ...]:
    """Objects of a JSON body; none, where it is left out."""
    value = values.get(name, [])
    if not _is_list_of(value, dict):
        raise refused(web.HTTPBadRequest, f"{name} is {value!r}, where a list of objects is needed")
    return tuple(value)


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)


def check_names(values: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse a body with names that mean nothing here: what was meant by them would be left undone in silence."""
    others = [name for name in values if name not in known]
    if others:
        raise refused(web.HTTPBadRequest, f"this route takes {', '.join(known)}, and not {shortened(', '.join(others))}")


def shortened(text: str) -> str:
    """What was sent, as an error says it again: not all of it, where it is long."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _echo(value: object) -> str:
    return shortened(repr(value))
