"""What is found out once in each process, and forgotten together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TypeVar

Check = TypeVar("Check", bound=Callable)

_FOUND: list[dict] = []
_nothing_runs: ContextVar[bool] = ContextVar("nothing_runs", default=False)


class NotMadeError(Exception):
    """A check that was asked for has not been made, and nothing may run."""


def once(check: Check) -> Check:
    """The decorated function, run once for each of its arguments until all is forgotten; what it raises is not kept."""
    found: dict = {}
    _FOUND.append(found)

    @wraps(check)
    def asked(*arguments):
        if arguments not in found:
            if _nothing_runs.get():
                raise NotMadeError
            found[arguments] = check(*arguments)
        return found[arguments]

    return asked


@contextmanager
def nothing_runs() -> Iterator[None]:
    """In this block what was found out is told, and NotMadeError raised instead of finding out more."""
    token = _nothing_runs.set(True)
    try:
        yield
    finally:
        _nothing_runs.reset(token)


def forget() -> None:
    """Let everything be found out again."""
    for found in _FOUND:
        found.clear()
