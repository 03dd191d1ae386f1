"""One run at a time at a place on the disk: a lock beside it, which the system takes from a process that ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def alone(path: str, taken: Exception) -> Iterator[None]:
    """Keeps other runs, in this process or another, from the same path for the length of the block. taken: raised where one is at it.

    The folder of the path must be there. Where the disk knows no locks there is none. Raises OSError where the lock can't be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as problem:
        raise taken from problem
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        # Removed while it is held: behind that, it could be the next run's. Windows removes no open file, nor one that the next run holds.
        _remove(lock.lock_file)
        lock.release()
        if os.name == "nt":
            _remove(lock.lock_file)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.remove(path)
