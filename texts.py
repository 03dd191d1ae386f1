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
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")

_FIELD = re.compile(r"\{(\d+)\}")
_GAP = re.compile(r"( {2,})")
"""Between the columns of a table."""
_JOINS = {f"{{0}}{separator}{{1}}" for separator in (", ", "; ", ": ", ". ", " and ", " or ")}
"""How any two texts are joined; the full stop belongs to the first. They say nothing by themselves, and stay where neither is translated."""

_WINDOW = 8
"""So many pieces of a joined text are tried as one, which may hold the separator itself."""
_SPLITS = 200
"""So many ways to find a template's fields in a text are tried."""


class Reading(NamedTuple):
    """covered: how many characters of a text are a template's own words; said: the text in the other language."""

    covered: int
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
        return len(self.literals) > 1 or " " in self.literals[0]

    def fields_in(self, text: str) -> Iterator[Sequence[str]]:
        """Each way in which the text may be this template."""
        first, last = self.literals[0], self.literals[-1]
        if len(self.literals) == 1 or len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
            return
        yield from _between(text[len(first) : len(text) - len(last)], self.literals[1:-1])


class Catalogue:
    """The translations of one language. messages: English template -> translation."""

    def __init__(self, messages: dict[str, str]):
        self._exact = {english: foreign for english, foreign in messages.items() if not _FIELD.search(english)}
        templates = {english: _Template(tuple(_FIELD.split(english)[::2]), foreign) for english, foreign in messages.items()}
        self._joins = [templates.pop(join) for join in _JOINS & templates.keys()]
        self._templates = sorted((each for each in templates.values() if each.says_something), key=lambda each: -each.weight)

    def translate(self, text: str) -> str:
        """The text in this language, its lines and columns kept."""
        known: dict[tuple[str, bool], Reading] = {}
        whole = self._read(text, self._templates, known)
        lines = [self._line(line, known) for line in text.split("\n")]
        by_line = Reading(sum(line.covered for line in lines), "\n".join(line.said for line in lines))
        return max(whole, by_line, key=lambda reading: reading.covered).said

    def _line(self, line: str, known: dict) -> Reading:
        """A line, its columns one by one: each begins where it began, unless what is before it has become too wide."""
        covered, said, owed = 0, "", 0
        for number, part in enumerate(_GAP.split(line)):
            if number % 2:
                gap = max(2, len(part) + owed)
                owed += len(part) - gap
                said += " " * gap
                continue
            reading = self._read(part, self._templates, known)
            covered, said, owed = covered + reading.covered, said + reading.said, owed + _width(part) - _width(reading.said)
        return Reading(covered, said.rstrip() if line.endswith(" ") else said)

    def _read(self, text: str, among: Sequence[_Template], known: dict, alone: bool = True) -> Reading:
        """The reading that covers most. among: templates that may be in it; alone: whether it is no piece of a list, where a word may be a name."""
        key = (text, alone)
        if key in known:
            return known[key]
        best = Reading(0, text)
        exact = self._exact.get(text)
        if exact is not None and (alone or " " in text or exact == text):
            best = Reading(len(text), exact)
        among = [template for template in among if all(literal in text for literal in template.literals)]
        if any(template.weight for template in among):
            for reading in self._readings(text, among, known):
                best = max(best, reading, key=lambda reading: reading.covered)
        known[key] = best
        return best

    def _readings(self, text: str, among: Sequence[_Template], known: dict) -> Iterator[Reading]:
        for template in among:
            # Of two ways that explain as much, the one that keeps brackets together: "model (1).safetensors" is a name.
            for fields in sorted(islice(template.fields_in(text), _SPLITS), key=lambda fields: sum(map(_is_torn, fields))):
                parts = [self._read(field, among, known, template.weight > 0) for field in fields]
                covered = sum(part.covered for part in parts)
                if template.weight or covered:
                    yield Reading(template.weight + covered, _filled(template.foreign, [part.said for part in parts]))
        if "\n" not in text:
            for join in self._joins:
                pieces = text.split(join.literals[1])
                if len(pieces) > 1:
                    yield self._joined(pieces, join, among, known)

    def _joined(self, pieces: Sequence[str], join: _Template, among: Sequence[_Template], known: dict) -> Reading:
        """What is joined, from its end: at each piece, so many of the next are read as one as cover most."""
        separator = join.literals[1]
        best = [Reading(0, "")] * (len(pieces) + 1)
        for first in reversed(range(len(pieces))):
            for end in range(first + 1, min(first + _WINDOW, len(pieces)) + 1):
                text = separator.join(pieces[first:end])
                if first == 0 and end == len(pieces):
                    continue
                if separator[0] == "." and end < len(pieces):
                    text += "."
                one, rest = self._read(text, among, known, alone=False), best[end]
                if best[first].said and one.covered + rest.covered <= best[first].covered:
                    continue
                best[first] = Reading(one.covered + rest.covered, one.said if end == len(pieces) else self._between(one, rest, join))
        return best[0]

    @staticmethod
    def _between(one: Reading, rest: Reading, join: _Template) -> str:
        """Two pieces with what joins them, in the language of either if that has been translated."""
        separator = join.literals[1]
        if one.covered or rest.covered:
            return _filled(join.foreign, [one.said, rest.said])
        return one.said + (separator[1:] if separator[0] == "." else separator) + rest.said


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


def _is_torn(field: str) -> bool:
    """Whether a bracket in it has no other half."""
    while field != (field := re.sub(r"\([^()]*\)", "", field)):
        pass
    return "(" in field or ")" in field


def _filled(template: str, fields: Sequence[str]) -> str:
    return _FIELD.sub(lambda found: fields[int(found[1])], template)


def padded(text: str, columns: int) -> str:
    """The text with spaces behind it, to a width in columns of a terminal."""
    return text + " " * (columns - _width(text))


def _width(text: str) -> int:
    """In columns of a terminal, of which a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
