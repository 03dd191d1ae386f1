"""The notes in the workflows, in English and Chinese: what each is for, and what a newcomer would trip over. Their texts are in notes/."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from .files import TOKENIZER_PAGE
from .graph import Column, Note

TEXTS = Path(__file__).parent / "notes"
WIDTH, LETTERS, LINE, PARAGRAPH = 400, 58, 17, 16
"""Of a note: pixels, letters a line, pixels a line and between paragraphs."""


def note_column(workflow: str) -> Column:
    """The first column of a workflow. The tokenizer is explained in it, as the page's dialog for missing models can't offer one."""
    tokenizer = _read("tokenizer").replace("{tokenizer_page}", TOKENIZER_PAGE)
    text = _read(workflow).replace("{tokenizer}", tokenizer)
    return Column("Read me · 说明", {"note": Note(text, _height(text))}, WIDTH)


def _read(name: str) -> str:
    return (TEXTS / f"{name}.md").read_text(encoding="utf-8").strip()


def _height(text: str) -> int:
    """What a text takes in the page; a Chinese letter is as wide as two others, and an address is not shown."""
    paragraphs = [line.replace(TOKENIZER_PAGE, "") for line in text.splitlines() if line]
    lines = sum(-(-sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in line) // LETTERS) for line in paragraphs)
    return lines * LINE + len(paragraphs) * PARAGRAPH + 2 * PARAGRAPH
