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
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")

_FIELD = re.compile(r"\{(\d+)\}")
_GAP = re.compile(r"(^- | {2,})")
"""Between the columns of a table, and before an item of a list."""
_PROSE = re.compile(r"(?:\b[a-z']+ ){5,}[a-z']+\b(?!\.\w)")
"""Words in a row that are no name."""
_SEPARATORS = (", ", "; ", ": ", ". ", " and ", " or ")
"""What any two texts are joined by; the full stop belongs to the first. They say nothing by themselves, and stay where neither text is translated."""

_WINDOW = 8
"""So many pieces of a joined text are tried as one, which may hold the separator itself."""
_MOST_SPLITS = 50
"""So many ways to find a template's fields in a text are tried."""
_MOST_READINGS = 20_000
"""So many parts of a text are looked at, half a second's work; what is left by then stays as it is."""

_TORN, _JOIN, _UNREAD = 0.5, 0.1, 0.5
"""What a field that ends in the middle of something and a join take from what a reading explains, as of two alike the simpler is right; and each word
of a sentence that stays English: a few words of ours in it explain nothing."""


class Reading(NamedTuple):
    """explains: how many characters of a text are a template's own, less what speaks against the reading; said: the text in the other language."""

    explains: float
    said: str


class _Template(NamedTuple):
    """literals: the English around the fields; foreign: the translation with its {0}, {1}."""

    literals: tuple[str, ...]
    foreign: str

    @property
    def weight(self) -> int:
        """How much of a text it explains; punctuation alone explains nothing."""
        return sum(map(len, self.literals)) if any(map(str.isalpha, "".join(self.literals))) else 0

    @property
    def says_something(self) -> bool:
        """Whether a longer text with it in it is worth taking apart: not for a single word, which may be anybody's."""
        return len(self.literals) > 1 or " " in self.literals[0] or self.literals[0] == self.foreign

    def fields_in(self, text: str) -> Iterator[Sequence[str]]:
        """Each way in which the text may be this template."""
        first, last = self.literals[0], self.literals[-1]
        if len(self.literals) == 1 or len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
            return
        yield from _between(text[len(first) : len(text) - len(last)], self.literals[1:-1])


class Catalogue:
    """The translations of one language. messages: English template -> translation; joins are there too, "{0}; {1}"."""

    def __init__(self, messages: Mapping[str, str]):
        self.joins = {separator: messages[join] for separator in _SEPARATORS if (join := f"{{0}}{separator}{{1}}") in messages}
        self.exact = {english: foreign for english, foreign in messages.items() if not _FIELD.search(english)}
        joins = {f"{{0}}{separator}{{1}}" for separator in _SEPARATORS}
        templates = (_Template(tuple(_FIELD.split(english)[::2]), messages[english]) for english in messages.keys() - joins)
        self.templates = sorted((each for each in templates if each.says_something), key=lambda each: (-each.weight, each.literals))

    def translate(self, text: str) -> str:
        """The text in this language, its lines and columns kept."""
        reader = _Reader(self)
        whole = reader.read(text, self.templates)
        lines = [reader.line(line) for line in text.split("\n")]
        by_line = Reading(sum(line.explains for line in lines), "\n".join(line.said for line in lines))
        return max(whole, by_line, key=_explains).said


class _Reader:
    """Reads one text, each part of it once."""

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue
        self._known: dict[tuple[str, bool], Reading] = {}

    def line(self, line: str) -> Reading:
        """A line, its columns one by one: each begins where it began, unless what is before it has become too wide."""
        explains, said, owed = 0.0, "", 0
        for number, part in enumerate(_GAP.split(line)):
            if part == "- ":
                said += part
                continue
            if number % 2:
                gap = max(2, len(part) + owed)
                owed += len(part) - gap
                said += " " * gap
                continue
            reading = self.read(part, self._catalogue.templates)
            explains, said, owed = explains + reading.explains, said + reading.said, owed + _width(part) - _width(reading.said)
        return Reading(explains, said.rstrip() if line.endswith(" ") else said)

    def read(self, text: str, among: Sequence[_Template], alone: bool = True) -> Reading:
        """The best reading of a text. among: templates that may be in it; alone: whether it is no part of another, where a single word is a name."""
        known = self._known.get((text, alone))
        if known is not None or len(self._known) >= _MOST_READINGS:
            return known or Reading(0, text)
        best = self._known[text, alone] = Reading(0, text)
        exact = self._catalogue.exact.get(text)
        if exact is not None and (alone or " " in text or exact == text):
            best = Reading(len(text), exact)
        among = [template for template in among if all(literal in text for literal in template.literals)]
        if any(template.weight for template in among):
            best = max((best, *self._by_template(text, among), *self._by_join(text, among)), key=_explains)
        self._known[text, alone] = best
        return best

    def _by_template(self, text: str, among: Sequence[_Template]) -> Iterator[Reading]:
        for template in among:
            for fields in islice(template.fields_in(text), _MOST_SPLITS):
                parts = [self.read(field, among, alone=False) for field in fields]
                explains = sum(part.explains for part in parts)
                if template.weight or explains > 0:
                    explains += template.weight - _TORN * sum(map(_is_torn, fields, parts)) - _UNREAD * sum(map(_unread, fields, parts))
                    yield Reading(explains, _filled(template.foreign, parts))

    def _by_join(self, text: str, among: Sequence[_Template]) -> Iterator[Reading]:
        for separator in self._catalogue.joins if "\n" not in text else ():
            pieces = text.split(separator)
            if len(pieces) > 1:
                yield self._joined(pieces, separator, among)

    def _joined(self, pieces: Sequence[str], separator: str, among: Sequence[_Template]) -> Reading:
        """What is joined, from its end: of its next pieces, so many are read as one as explain most."""
        rests = [Reading(0, "")] * (len(pieces) + 1)
        for first in reversed(range(len(pieces))):
            ends = range(first + 1, min(first + _WINDOW, len(pieces)) + 1)
            rests[first] = max(
                (self._first(pieces[first:end], rests[end], separator, among) for end in ends if end - first < len(pieces)), key=_explains
            )
        return rests[0]

    def _first(self, pieces: Sequence[str], rest: Reading, separator: str, among: Sequence[_Template]) -> Reading:
        """Some pieces read as one, and the rest behind them."""
        text = separator.join(pieces)
        if not rest.said:
            return self.read(text, among, alone=False)
        stop = separator[0] if separator[0] == "." else ""
        one = self.read(text + stop, among, alone=False)
        if one.explains <= 0 and rest.explains <= 0:
            return Reading(0, one.said + separator.removeprefix(stop) + rest.said)
        return Reading(one.explains + rest.explains - _JOIN, _filled(self._catalogue.joins[separator], [one, rest]))


@cache
def catalogue(language: str) -> Catalogue:
    """The translations of one of LANGUAGES; English has none."""
    if language == ENGLISH:
        return Catalogue({})
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "locales", language, "messages.json"), encoding="utf-8") as file:
        return Catalogue(json.load(file))


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


def _between(text: str, literals: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The fields of a text with literals between them, the first as short as it can be to begin with."""
    if not literals:
        yield (text,)
        return
    literal = literals[0]
    at = text.find(literal)
    while at >= 0:
        # Of two fields side by side, the second is no continuation of the first one's word.
        if literal or not text[at : at + 1].isalnum():
            for rest in _between(text[at + len(literal) :], literals[1:]):
                yield (text[:at], *rest)
        at = text.find(literal, at + 1) if at < len(text) else -1


def _explains(reading: Reading) -> float:
    return reading.explains


def _is_torn(field: str, reading: Reading) -> bool:
    """Whether a sentence or a clause ends within it, or a bracket has no other half, as where "model (1).pth" is taken apart."""
    if ". " in field or (reading.explains <= 0 and ("; " in field or ": " in field)):
        return True
    while field != (field := re.sub(r"\([^()]*\)", "", field)):
        pass
    return "(" in field or ")" in field


def _unread(field: str, reading: Reading) -> int:
    """How many words of a sentence it has that are not explained."""
    return sum(sentence.count(" ") + 1 for sentence in _PROSE.findall(field)) if reading.explains <= 0 else 0


def _filled(template: str, fields: Sequence[Reading]) -> str:
    """A translation with its fields. The space that parts Chinese from Latin letters goes where both sides have become Chinese."""
    text, was_translated = "", False
    for number, piece in enumerate(_FIELD.split(template)):
        if number % 2 == 0:
            text += piece.removeprefix(" ") if was_translated and _is_wide(text[-1:]) else piece
            continue
        field = fields[int(piece)]
        was_translated = field.explains > 0
        text = (text.removesuffix(" ") if was_translated and _is_wide(field.said[:1]) else text) + field.said
    return text


def padded(text: str, columns: int) -> str:
    """The text with spaces behind it, to a width in columns of a terminal."""
    return text + " " * (columns - _width(text))


def _width(text: str) -> int:
    """In columns of a terminal, of which a Chinese character takes two."""
    return sum(1 + _is_wide(each) for each in text)


def _is_wide(character: str) -> bool:
    return bool(character) and unicodedata.east_asian_width(character) in "WF"
