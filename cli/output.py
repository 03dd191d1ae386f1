"""What the command line says, in the user's language."""

import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar

from ..texts import ENGLISH, language_of, translate

LANGUAGE: ContextVar[str] = ContextVar("LANGUAGE", default=ENGLISH)
"""Of what is said, for the length of one command."""

_LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set counts, as for every program."""


def language_of_shell(environment: Mapping[str, str] = os.environ) -> str:
    """The language that the shell's environment asks for."""
    return language_of(next((environment[name] for name in _LOCALES if environment.get(name)), ENGLISH))


def in_language(text: str) -> str:
    """A text of the pack's as this command says it."""
    return translate(text, LANGUAGE.get())


def say(text: str) -> None:
    """A part of the answer, to stdout."""
    print(in_language(text), flush=True)


def tell(text: str) -> None:
    """A line about the run itself, to stderr."""
    print(in_language(text), file=sys.stderr)
