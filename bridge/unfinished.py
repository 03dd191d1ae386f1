"""What conversions leave behind whose ComfyUI was killed: while one writes, a note of it lies in ComfyUI's user folder, and the next start clears up.

A note is held by a lock, which the system takes from a process that ends: what another ComfyUI is still writing is left alone.
"""

import glob
import json
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import folder_paths

NOTE, LOCK = ".json", ".lock"

log = logging.getLogger(__name__)


@contextmanager
def noted(component: str, target: str) -> Iterator[None]:
    """Keeps a note that the target of a component is being written, for the length of the block; where it can't be kept, the log says so."""
    from filelock import FileLock

    note = os.path.join(_folder(), uuid.uuid4().hex + NOTE)
    with ExitStack() as held:
        held.callback(_remove, note)
        try:
            os.makedirs(_folder(), exist_ok=True)
            held.enter_context(FileLock(note + LOCK, timeout=0))
            with open(note, "w", encoding="utf-8") as file:
                json.dump({"component": component, "target": target}, file)
        except (OSError, NotImplementedError) as problem:  # the latter where the disk knows no locks
            log.warning("LightQuant can't note down that %s is being written (%s): should ComfyUI be killed, its rest stays.", target, problem)
        yield


def clear() -> None:
    """Remove what lies around of conversions that were cut off with their ComfyUI."""
    for note in glob.glob(os.path.join(glob.escape(_folder()), f"*{NOTE}")):
        from filelock import FileLock, Timeout

        try:
            with FileLock(note + LOCK, timeout=0):
                _clear_one(note)
            _remove(note)
        except Timeout:
            continue
        except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as problem:
            log.warning("LightQuant can't clear up after a conversion that was cut off (%s): %s", note, problem)


def _clear_one(note: str) -> None:
    from ..convert.partial import discard
    from .targets import is_inside

    with open(note, encoding="utf-8") as file:
        said = json.load(file)
    component, target = said["component"], said["target"]
    if is_inside(component, target) and discard(target):
        log.warning("LightQuant: a conversion to %s was cut off with ComfyUI; what it had written is removed.", target)


def _remove(note: str) -> None:
    for path in (note, note + LOCK):
        with suppress(OSError):  # on Unix the lock has removed its file itself
            os.remove(path)


def _folder() -> str:
    """One that no page can reach: ComfyUI's routes serve no user whose name begins so."""
    return os.path.join(folder_paths.get_system_user_directory("lightquant"), "conversions")
