"""The values of a configuration, checked as they are taken, and an account of every key."""

from collections.abc import Iterable
from dataclasses import dataclass

from .config_json import Document
from .config_keys import ABOUT_VALUES, ENTRIES, QWEN_KEYS, READ, READS, UNKNOWN, UNUSED, Entry, about_value

_UNKNOWN_TEXT = "LightQuant does not know this key"


@dataclass(frozen=True)
class Note:
    """What becomes of one key: one of config_keys' words, and why or where."""

    key: str
    value: object
    becomes: str
    text: str


class Reader:
    """Takes values out of a document, each of its kind, and accounts for every key. Its errors are ConfigErrors with line and column."""

    def __init__(self, document: Document):
        self.values, self.error = document.values, document.error
        self._twice = document.twice
        self._unused: dict[str, str] = {}
        self._more: list[Note] = []

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false; null is the default."""
        return self._take(key, bool, "true or false", default)

    def text(self, key: str) -> str | None:
        """A string; an empty one and null are none."""
        found = self._take(key, str, "a text in quotes", None) or None
        if found and "\0" in found:
            raise self.error(key, f"{key} holds a character that no path can have.")
        return found

    def items(self, key: str) -> list[dict]:
        """A list of objects; null is an empty one."""
        found = self._take(key, list, "a list of objects", None) or []
        if not all(isinstance(item, dict) for item in found):
            raise self.error(key, f"each entry of {key} must be an object in braces.")
        return found

    def unused(self, keys: Iterable[str], why: str) -> None:
        """Account for keys that other values put out of use."""
        self._unused.update(dict.fromkeys(keys, why))

    def unknown(self, key: str, value: object) -> None:
        """Account for a key inside another one's value."""
        self._more.append(Note(key, value, UNKNOWN, _UNKNOWN_TEXT))

    def notes(self, experts: bool, foreign: str = "") -> tuple[Note, ...]:
        """What becomes of every key of the document; foreign: why it describes no Wan model, else empty."""
        return (*(Note(key, value, *self._entry(key, experts, foreign)) for key, value in self.values.items()), *self._more)

    def _take(self, key: str, kind: type, wanted: str, default):
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.error(key, f"{key} is {value!r}, where {wanted} is needed.")
        return value

    def _entry(self, key: str, experts: bool, foreign: str) -> Entry:
        becomes, text = self._meaning(key, experts, foreign)
        return Entry(becomes, f"{text} (this key stands more than once; the last one counts)" if key in self._twice else text)

    def _meaning(self, key: str, experts: bool, foreign: str) -> Entry:
        if key in self._unused or (foreign and key in READS):
            return Entry(UNUSED, self._unused.get(key, foreign))
        if key in READS:
            return Entry(READ, READS[key])
        if key in ABOUT_VALUES:
            return about_value(key, self.values, experts)
        if key in QWEN_KEYS:
            return Entry(UNUSED, QWEN_KEYS[key])
        return ENTRIES.get(key, Entry(UNKNOWN, _UNKNOWN_TEXT))
