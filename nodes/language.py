"""A node's errors in the language of the user's ComfyUI."""

import functools
from collections.abc import Callable

from ..bridge.language import in_users_language
from ..errors import LightQuantError


def in_language(execute: Callable) -> Callable:
    """A node's `execute` whose errors of the pack's come in the user's language, as the same exceptions.

    ComfyUI's page shows the text of what is raised. Its log shows what caused that as well: the English one, so that bug reports can be searched.
    """

    @functools.wraps(execute)
    def run(cls, *args, **kwargs):
        try:
            return execute(cls, *args, **kwargs)
        except LightQuantError as problem:
            said = in_users_language(str(problem))
            if said == str(problem):
                raise
            raise type(problem)(said) from problem

    return run
