"""LightX2V's configuration files as JSON: comments allowed, errors placed by line and column."""

import json
import os
import re
from typing import NamedTuple

from ..errors import ConfigError

MOST_BYTES = 1 << 20
"""LightX2V's longest is 4 kB; whatever is larger is another file."""

# An unterminated string or comment is matched to its end too, so that no input makes the search start over at every character.
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"?|(?://|\#)[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)


class Document(NamedTuple):
    """values: the keys in the file's order; twice: keys that stand more than once, of which the last counts; text: without its comments."""

    path: str
    values: dict[str, object]
    twice: tuple[str, ...]
    text: str

    def error(self, key: str, problem: str) -> ConfigError:
        """The error for a key's value, placed where the key stands."""
        places = [found.start() for found in re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", self.text)]
        where = _place(self.text, places[-1]) if places else "line 1, column 1"
        return ConfigError(f"LightQuant can't use {self.path}, {where}: {problem}")


def read(path: str) -> Document:
    """Open a configuration. Raises ConfigError, with line and column, unless it is a JSON object; //, # and /* */ comments are passed over."""
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise ConfigError(f"LightQuant can't read {path}: a configuration is not larger than {MOST_BYTES >> 20} MiB. Pick another file.")
        with open(path, encoding="utf-8-sig") as file:
            raw = file.read()
    except OSError as problem:
        raise ConfigError(f"LightQuant can't read {path}: {problem.strerror or problem}. Pick a configuration that is there.") from problem
    except UnicodeDecodeError as problem:
        raise ConfigError(f"LightQuant can't read {path}: byte {problem.start} is not UTF-8. Save the file as UTF-8.") from problem
    text = _without_comments(path, raw)
    twice: list[str] = []

    def keep_last(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        twice.extend(sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else ())
        return dict(pairs)

    try:
        values = json.loads(text, object_pairs_hook=keep_last)
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise ConfigError(f"LightQuant can't read {path}, {where}: {problem.msg}. Correct it there (a last comma is no JSON).") from problem
    except (RecursionError, ValueError) as problem:
        raise ConfigError(f"LightQuant can't read {path}: it is nested too deeply, or a number in it is too long. Pick another file.") from problem
    if not isinstance(values, dict):
        raise ConfigError(f"LightQuant can't read {path}, line 1, column 1: it holds a {type(values).__name__}, where an object with keys is needed.")
    return Document(path, values, tuple(twice), text)


def _without_comments(path: str, text: str) -> str:
    """The text with blanks for its comments, so that every character keeps its line and column."""

    def blank(found: re.Match) -> str:
        part = found.group()
        if part.startswith('"'):
            return part
        if part.startswith("/*") and (len(part) < 4 or not part.endswith("*/")):
            raise ConfigError(f"LightQuant can't read {path}, {_place(text, found.start())}: the comment that begins here is not closed with */.")
        return re.sub(r"[^\n]", " ", part)

    return _STRING_OR_COMMENT.sub(blank, text)


def _place(text: str, position: int) -> str:
    return f"line {text.count(chr(10), 0, position) + 1}, column {position - text.rfind(chr(10), 0, position)}"
