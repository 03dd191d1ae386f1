"""Every text that a node, a report or the command line shows has a Chinese one, which says the same of the same values."""

import json
import re

import pytest
from lightquant.texts import catalogue
from source_texts import FIELD, REPOSITORY, templates

CHINESE = json.loads((REPOSITORY / "locales" / "zh" / "messages.json").read_text(encoding="utf-8"))

NAMES = re.compile(
    r"Load (Diffusion Model|CLIP Vision|CLIP \(type wan\))|Wan[\d.]* [\w. -]+|Wan DiT|torch \{0\}|comfy-kitchen \{0\}|find it"
    r"|pip install [\w\s{}-]+|lightquant( fit)?: \{0\}"
    r"|.*\(Tensor .+\) -> .+|(ScalarType|Tensor\?) .+|<!DOCTYPE html>|width=device-width.*|rotate\(.+\)|dot \{0\}|key \{0\}|\(\?.*"
    r"|reading \{0\} %|quantized to |(blocks|phases), (pinned|from disk).*|dynamic VRAM alone|dynamic VRAM, node, chunks"
)
"""What is called the same in every language, and what is written for programs."""

OPEN = {
    "all {0}", "attention {0}{1}: {2}{3}", "read {0}", "reads {0}", "the {0}", "{0} takes",
    "MODEL ({0} noise)", "the {0}-noise expert", ", {0}-noise expert", "find it, {0}-noise",
    "{0} is the {1}-noise expert by its name, and was picked as the {2}-noise one. Exchange the two.", "{0} keys {1}: {2}",
    "FFN in chunks of {0} rows: {1} on {2} rows of the first block, against a chunk of all of them",
}  # fmt: skip
"""Texts that could be the name of a file, or that a single word completes: what they become is translated, one by one."""

JOINS = {"{0}, {1}", "{0}; {1}", "{0}: {1}", "{0}. {1}", "{0} and {1}", "{0} or {1}", "{0} ({1})", " ({0})", "{0}.", "{0}:"}
"""How texts are put together anywhere."""


def in_the_node_definitions() -> set[str]:
    def strings(value: object) -> list[str]:
        return [value] if isinstance(value, str) else [text for each in value.values() for text in strings(each)]

    return set(strings(json.loads((REPOSITORY / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))))


def shown() -> list[str]:
    return sorted(text for text in templates(shown=True) - in_the_node_definitions() if not NAMES.fullmatch(text))


def instance_of(template: str) -> re.Pattern:
    """What the template may become."""
    return re.compile("(.*)".join(map(re.escape, FIELD.split(template))))


def fill(template: str, values: list[str]) -> str:
    return FIELD.sub(lambda found: values[int(found[0][1:-1])], template)


def test_every_text_that_is_shown_has_a_translation():
    missing = [text for text in shown() if not any(map((instance_of(text) if text in OPEN else re.compile(re.escape(text))).fullmatch, CHINESE))]
    assert missing == [], f"locales/zh/messages.json lacks:\n{json.dumps(dict.fromkeys(missing, ''), ensure_ascii=False, indent=2)}"


def test_every_translation_belongs_to_a_text_of_the_source():
    """The text itself, one that a text of the source may become, or one of several pieces that stand in the source by themselves."""
    source = templates()
    general = [instance_of(text) for text in source if FIELD.search(text)]
    pieces = {text.strip() for text in source}

    def known(text: str) -> bool:
        literals = [piece.strip() for piece in FIELD.split(text) if piece.strip()]
        return text in source or all(piece in pieces for piece in literals) or any(each.fullmatch(text) for each in general)

    assert [text for text in CHINESE if text not in JOINS and not known(text)] == []


def test_a_translation_has_the_fields_of_its_text():
    assert [text for text, chinese in CHINESE.items() if sorted(FIELD.findall(chinese)) != sorted(FIELD.findall(text))] == []


@pytest.mark.parametrize("like", ["{}value", "/my models/the {}.safetensors", "reads {} low (all).pth", "模型 {}"])
def test_a_text_is_read_back_with_its_values(like):
    """Where two fields touch, what is between them is found by what they hold: test_joined_texts has such."""
    values = [like.format(number) for number in range(10)]
    read = {text: catalogue("zh").translate(fill(text, values)) for text in CHINESE.keys() - JOINS if not re.search(r"\} ?\{", text)}
    assert {text: said for text, said in read.items() if said != fill(CHINESE[text], values)} == {}
