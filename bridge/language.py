"""Texts in the language that the user's ComfyUI is shown in."""

from ..texts import ENGLISH, language_of, translate
from .settings import locale


def language() -> str:
    """The language of the page's settings; English where nothing says which, as with --multi-user, where a node isn't told whose it is."""
    found = locale()
    return language_of(found) if found else ENGLISH


def in_users_language(text: str) -> str:
    """A text of the pack's, for whoever looks at the page."""
    return translate(text, language())
