"""A page in another language: what stands between its tags and in the attributes that are read out, and nothing else of it."""

import re
from html import escape, unescape

from ...texts import ENGLISH, translate

_PIECE = re.compile(r"<(?P<verbatim>script|style)\b.*?</(?P=verbatim)>|(?P<tag><[^>]*>)|(?P<text>[^<]+)", re.DOTALL)
"""Of a page from markup.py, which writes no comment, and no angle bracket inside a value."""
_READ_OUT = re.compile(r'(?<= aria-label=")[^"]*')
_LANGUAGE = re.compile(r'(?<=<html lang=")[^"]*')


def translated(page: str, language: str) -> str:
    """The page in one of the languages of texts.py."""

    def say(found: re.Match) -> str:
        return re.sub(r"\S(.*\S)?", lambda text: escape(translate(unescape(text[0]), language)), found[0], flags=re.DOTALL)

    def piece(found: re.Match) -> str:
        if found["text"]:
            return say(found)
        return _LANGUAGE.sub(language, _READ_OUT.sub(say, found[0])) if found["tag"] else found[0]

    return page if language == ENGLISH else _PIECE.sub(piece, page)
