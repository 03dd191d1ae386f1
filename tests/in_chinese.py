"""What is left of the pack's own English in a translated text."""

import json
import re
from functools import cache

from lightquant.texts import translate
from source_texts import FIELD, REPOSITORY

CHINESE = re.compile(r"[\u4e00-\u9fff]")

_FEWEST_WORDS = 3
"""Of a piece that is nobody else's."""


def left_over(text: str) -> list[str]:
    """The pieces of the catalogue's English that the text's translation still has; names and other programs' words are none."""
    said = translate(text, "zh")
    return [piece for piece in _pieces() if piece in said]


@cache
def _pieces() -> list[str]:
    messages = json.loads((REPOSITORY / "locales" / "zh" / "messages.json").read_text(encoding="utf-8"))
    pieces = {piece.strip(" .,;:()") for english, chinese in messages.items() if english != chinese for piece in FIELD.split(english)}
    return sorted(piece for piece in pieces if len(re.findall(r"[A-Za-z]+", piece)) >= _FEWEST_WORDS)
