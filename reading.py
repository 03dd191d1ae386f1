"""Reads a text of the pack's as the templates that it was put together from, and says it in another language (texts.py says why it is done so).

A text is matched against the templates, and so are its fields and what is joined in it. The reading that explains most of a text is taken.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_FIELD = re.compile(r"\{(\d+)\}")
_GAP = re.compile(r"(^- | {2,})")
"""Between the columns of a table, and before an item of a list."""
_PROSE = re.compile(r"(?:\b[a-z']+ ){5,}[a-z']+\b(?!\.\w)")
"""Words in a row that are no name."""
_BRACKET = re.compile(r"[()]")
_SEPARATORS = (", ", "; ", ": ", ". ", " and ", " or ")
"""What any two texts are joined by; the full stop belongs to the first. They say nothing by themselves, and stay where neither text is translated."""

_WINDOW = 8
"""So many pieces of a joined text are tried as one, which may hold the separator itself."""
_MOST_TRIES = 100
"""So many places are tried for a template's literals in a text."""
_MOST_WORK, _LOOK = 4_000_000, 10
"""So many characters are looked at for a text, and a look counts as some more: a second's work at the most, however long the text, and three times
what the longest report of ours takes. Parts that are left by then stay as they are."""
_DEEPEST = 20
"""So many texts are read inside each other; an error that holds a reason that holds an error takes a third of it."""
_TORN, _JOIN, _UNREAD = 0.5, 0.1, 0.5
"""What a field that ends in the middle of something and a join take from what a reading explains, as of two alike the simpler is right; and each word
of a sentence that stays English: a few words of ours in it explain nothing."""


class Reading(NamedTuple):
    """explains: how many characters of a text are a template's own, less what speaks against the reading; said: the text in the other language."""

    explains: float
    said: str


class _Template(NamedTuple):
    """literals: the English around the fields; longest: of them, which most texts lack; foreign: the translation with its {0}, {1}; weight: how much
    of a text it explains, and punctuation alone explains nothing.
    """

    literals: tuple[str, ...]
    longest: str
    foreign: str
    weight: int

    @classmethod
    def of(cls, english: str, foreign: str) -> "_Template":
        literals = tuple(_FIELD.split(english)[::2])
        weight = sum(map(len, literals)) if any(map(str.isalpha, "".join(literals))) else 0
        return cls(literals, max(literals, key=len), foreign, weight)

    @property
    def says_something(self) -> bool:
        """Whether a longer text with it in it is worth taking apart: not for a single word, which may be anybody's."""
        return len(self.literals) > 1 or " " in self.literals[0] or self.literals[0] == self.foreign

    def may_be_in(self, text: str) -> bool:
        return self.longest in text and all(literal in text for literal in self.literals)

    def fields_in(self, text: str) -> Iterator[Sequence[str]]:
        """Each way in which the text may be this template, of the first _MOST_TRIES."""
        first, last = self.literals[0], self.literals[-1]
        if len(self.literals) == 1 or len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
            return
        yield from _between(text[len(first) : len(text) - len(last)], self.literals[1:-1], iter(range(_MOST_TRIES)))


class Catalogue:
    """The translations of one language. messages: English template -> translation; joins are there too, "{0}; {1}"."""

    def __init__(self, messages: Mapping[str, str]):
        self.joins = {separator: messages[join] for separator in _SEPARATORS if (join := f"{{0}}{separator}{{1}}") in messages}
        self.exact = {english: foreign for english, foreign in messages.items() if not _FIELD.search(english)}
        joins = {f"{{0}}{separator}{{1}}" for separator in _SEPARATORS}
        templates = (_Template.of(english, messages[english]) for english in messages.keys() - joins)
        self.templates = sorted((each for each in templates if each.says_something), key=lambda each: (-each.weight, each.literals))

    def translate(self, text: str) -> str:
        """The text in this language, its lines and columns kept."""
        reader = _Reader(self)
        lines = [reader.line(line) for line in text.split("\n")]
        by_line = Reading(sum(line.explains for line in lines), "\n".join(line.said for line in lines))
        return max(reader.read(text, self.templates), by_line, key=_explains).said


class _Reader:
    """Reads one text, each part of it once, until it has done _MOST_WORK."""

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue
        self._known: dict[tuple[str, bool], Reading] = {}
        self._against: dict[str, float] = {}
        self._work, self._depth = 0, 0

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
            explains, said, owed = explains + reading.explains, said + reading.said, owed + width(part) - width(reading.said)
        return Reading(explains, said.rstrip() if line.endswith(" ") else said)

    def read(self, text: str, among: Sequence[_Template], alone: bool = True) -> Reading:
        """The best reading of a text. among: templates that may be in it; alone: whether it is no part of another, where a single word is a name."""
        known = self._known.get((text, alone))
        if known is not None:
            self._work += _LOOK
            return known
        best = Reading(0, text)
        exact = self._catalogue.exact.get(text)
        if exact is not None and (alone or " " in text or exact == text):
            best = Reading(len(text), exact)
        if self._depth >= _DEEPEST or not self._has_time_for(text):
            return best
        self._known[text, alone] = best
        among = [template for template in among if template.may_be_in(text)]
        if any(template.weight for template in among):
            self._depth += 1
            best = max((best, *self._by_template(text, among), *self._by_join(text, among)), key=_explains)
            self._depth -= 1
        self._known[text, alone] = best
        return best

    def _has_time_for(self, text: str) -> bool:
        """Whether the text can still be looked at, which is counted."""
        self._work += _LOOK + len(text)
        return self._work <= _MOST_WORK

    def _by_template(self, text: str, among: Sequence[_Template]) -> Iterator[Reading]:
        for template in among:
            for fields in template.fields_in(text):
                if not self._has_time_for(text):
                    return
                parts = [self.read(field, among, alone=False) for field in fields]
                explains = sum(part.explains for part in parts)
                if template.weight or explains > 0:
                    explains += template.weight - sum(map(self._speaks_against, fields, parts))
                    yield Reading(explains, _filled(template.foreign, parts))

    def _speaks_against(self, field: str, reading: Reading) -> float:
        """What a field takes from what its template explains."""
        if field not in self._against:
            self._against[field] = _TORN * _is_torn(field, reading) + _UNREAD * _unread(field, reading)
        return self._against[field]

    def _by_join(self, text: str, among: Sequence[_Template]) -> Iterator[Reading]:
        for separator in self._catalogue.joins if "\n" not in text else ():
            pieces = text.split(separator)
            if len(pieces) > 1:
                yield self._joined(pieces, separator, among)

    def _joined(self, pieces: Sequence[str], separator: str, among: Sequence[_Template]) -> Reading:
        """What is joined, from its end: of its next pieces, so many are read as one as explain most."""
        rests = [Reading(0, "")] * (len(pieces) + 1)
        for first in reversed(range(len(pieces))):
            if self._work > _MOST_WORK:
                return Reading(0, separator.join(pieces))
            ends = range(first + 1, min(first + _WINDOW, len(pieces)) + 1)
            # The whole is what is being read; the full stop belongs to the first of two.
            ones = {
                end: self.read(separator.join(pieces[first:end]) + _stop(separator, rests[end]), among, alone=False)
                for end in ends
                if end - first < len(pieces)
            }
            end = max(ones, key=lambda end: _explained(ones[end], rests[end]))
            rests[first] = self._together(ones[end], rests[end], separator)
        return rests[0]

    def _together(self, one: Reading, rest: Reading, separator: str) -> Reading:
        if not rest.said:
            return one
        if one.explains <= 0 and rest.explains <= 0:
            return Reading(0, one.said + separator.removeprefix(_stop(separator, rest)) + rest.said)
        return Reading(_explained(one, rest), _filled(self._catalogue.joins[separator], [one, rest]))


def _between(text: str, literals: Sequence[str], tries: Iterator[int]) -> Iterator[tuple[str, ...]]:
    """The fields of a text with literals between them, the first as short as it can be to begin with; so many as the tries last for."""
    if not literals:
        yield (text,)
        return
    literal = literals[0]
    at = text.find(literal)
    while at >= 0 and next(tries, None) is not None:
        # Of two fields side by side, the second is no continuation of the first one's word.
        if literal or not text[at : at + 1].isalnum():
            for rest in _between(text[at + len(literal) :], literals[1:], tries):
                yield (text[:at], *rest)
        at = text.find(literal, at + 1) if at < len(text) else -1


def _explains(reading: Reading) -> float:
    return reading.explains


def _explained(one: Reading, rest: Reading) -> float:
    """What two joined texts explain."""
    if not rest.said:
        return one.explains
    return one.explains + rest.explains - _JOIN if one.explains > 0 or rest.explains > 0 else 0


def _stop(separator: str, rest: Reading) -> str:
    """The full stop of a separator before the rest, where it has one."""
    return separator[0] if rest.said and separator[0] == "." else ""


def _is_torn(field: str, reading: Reading) -> bool:
    """Whether a sentence or a clause ends within it, or a bracket has no other half, as where "model (1).pth" is taken apart."""
    if ". " in field or (reading.explains <= 0 and ("; " in field or ": " in field)):
        return True
    open_brackets = 0
    for bracket in _BRACKET.findall(field):
        open_brackets += 1 if bracket == "(" else -1
        if open_brackets < 0:
            return True
    return open_brackets > 0


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


def width(text: str) -> int:
    """In columns of a terminal, of which a Chinese character takes two."""
    return sum(1 + _is_wide(each) for each in text)


def _is_wide(character: str) -> bool:
    return bool(character) and unicodedata.east_asian_width(character) in "WF"
