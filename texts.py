"""What users read, in their language: a text of the pack's, which is put together in English, is read again and said in another one.

locales/<language>/messages.json maps the English as it stands in the source to the translation: an f-string with {0}, {1} for its fields in their
order, which the translation may change. A text is matched against these templates, and so are its fields and what is joined in it: an error holds
the reason of a kernel, which holds the error of a check. The reading that explains most of a text is taken; what none explains (names of files,
the errors of torch) stays as it is.

A text that carries its template and values along from where it is raised would need no matching. But reasons are kept on disk and come from other
processes, they are joined, put into other texts and cut to columns, as plain strings; and every text in the source would have to be written in
another way than Python's own. So the source stays as it is, whatever is added to it can be translated, and tests/test_messages.py holds what
matching can get wrong: each template of the source has a translation, and is read back with its values wherever they stand.
"""

import json
import os
import re
from collections.abc import Callable
from functools import cache, lru_cache

from .reading import Catalogue, width

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")

_KEPT = 512
"""Texts whose translation is remembered: a page asks, and a job tells, the same again and again."""


@cache
def catalogue(language: str) -> Catalogue:
    """The translations of one of LANGUAGES; English has none."""
    if language == ENGLISH:
        return Catalogue({})
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "locales", language, "messages.json"), encoding="utf-8") as file:
        return Catalogue(json.load(file))


@lru_cache(_KEPT)
def translate(text: str, language: str) -> str:
    """A text of the pack's in one of LANGUAGES."""
    return text if language == ENGLISH else catalogue(language).translate(text)


def translate_all(value: object, say: Callable[[str], str]) -> object:
    """A JSON value with its texts said anew. A single word is for programs and stays, as keys do."""
    if isinstance(value, str):
        return say(value) if " " in value else value
    if isinstance(value, dict):
        return {key: translate_all(each, say) for key, each in value.items()}
    return [translate_all(each, say) for each in value] if isinstance(value, list | tuple) else value


def language_of(locale: str) -> str:
    """The language for a locale as browsers, ComfyUI and shells name it: zh-CN, zh, zh_CN.UTF-8. English for what there is no catalogue of."""
    name = re.split(r"[-_.@]", locale, maxsplit=1)[0].lower()
    return name if name in LANGUAGES else ENGLISH


def padded(text: str, columns: int) -> str:
    """The text with spaces behind it, to a width in columns of a terminal."""
    return text + " " * (columns - width(text))
