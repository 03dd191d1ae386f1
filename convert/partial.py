"""What is written has another name until all of it is whole; what is replaced, until the new one stands in its place."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOENT

from ..errors import ConvertError
from ..loaders.alone import alone

PARTIAL = ".partial"
"""Behind the name of what is being written."""

PICKLED_TOO, _REPLACED = ".pth", ".replaced"
"""Behind that, a torch.save file in the making; and behind a folder's name, what is about to be replaced."""

log = logging.getLogger(__name__)


def put(partial: str, target: str) -> None:
    """The finished work under its name; a folder that is replaced leaves only once the new one stands in its place."""
    if not os.path.isdir(target):
        os.replace(partial, target)
        return
    old = target + _REPLACED
    os.rename(target, old)
    try:
        os.rename(partial, target)
    except OSError:
        os.rename(old, target)
        raise
    try:
        shutil.rmtree(old)
    except OSError as problem:
        log.warning("LightQuant: %s was replaced, but what it was could not be removed whole: %s. Remove %s.", target, problem, old)


@contextmanager
def alone_at(target: str) -> Iterator[None]:
    """Keeps every other conversion, of this process or another, from a target for the length of the block.

    Raises ConvertError where one is at it, OSError where nothing can be written there.
    """
    folder = os.path.dirname(os.path.abspath(target))
    if not os.path.isdir(folder):
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), folder)
    taken = ConvertError(f"{target} is being written already, by another run. Wait for it, or choose another name.")
    with alone(target, taken):
        yield


def recover(target: str) -> None:
    """Give a folder its name back that an earlier run had moved out of the way when it was killed."""
    old = target + _REPLACED
    if os.path.exists(old) and os.path.exists(target):
        raise ConvertError(f"{old} is in the way. It may be what a conversion that was cut off replaced: look at it, then remove or rename it.")
    if os.path.isdir(old):
        os.rename(old, target)
        log.warning("LightQuant: an earlier conversion was cut off while it replaced %s, which has its name back now.", target)


@contextmanager
def temporary(partial: str) -> Iterator[None]:
    """Nothing of this name before and after."""
    if os.path.exists(partial):
        log.warning("LightQuant: an earlier conversion to %s was cut off; this one starts from the beginning.", partial.removesuffix(PARTIAL))
    try:
        _remove(partial)
        yield
    finally:
        _remove(partial)


def discard(target: str) -> bool:
    """Remove what a conversion to the target that was cut off has left; whether there was anything. What another run is writing stays."""
    if not os.path.isdir(os.path.dirname(os.path.abspath(target))):
        return False
    try:
        with alone_at(target):
            return _remove(target + PARTIAL)
    except ConvertError:
        return False


def _remove(partial: str) -> bool:
    paths = [path for path in (partial, partial + PICKLED_TOO) if os.path.lexists(path)]
    for path in paths:
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
    return bool(paths)
