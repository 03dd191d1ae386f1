"""What is found out once in each process, and forgotten together."""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

Check = TypeVar("Check", bound=Callable)

_CACHES: list = []


def once(check: Check) -> Check:
    """The decorated function, run once for each of its arguments until all is forgotten; what it raises is not kept."""
    cached = cache(check)
    _CACHES.append(cached)
    return cached


def forget() -> None:
    """Let everything be found out again."""
    for cached in _CACHES:
        cached.cache_clear()
