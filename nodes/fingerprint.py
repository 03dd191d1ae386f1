"""What tells ComfyUI that a loader's result is no longer the one it has."""

import os
from collections.abc import Callable, Iterable

from .. import __version__
from ..errors import LightQuantError


def fingerprint(ask: Callable[[], tuple[object, Iterable[str]]]) -> str:
    """Changes when what is asked for or a file behind it does, and with nothing else.

    ask: gives the request and its files; an error of the pack's is part of the answer, and the node raises it again when it runs.
    """
    try:
        request, files = ask()
        return repr((__version__, request, [(path, os.path.getsize(path), os.path.getmtime(path)) for path in files]))
    except (LightQuantError, OSError) as problem:
        return f"{__version__}: {problem}"
