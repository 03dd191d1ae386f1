"""What users read: locales, help pages and READMEs say what the nodes have, in both languages, and quote errors that exist."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from comfy_api.latest import io
from in_chinese import CHINESE
from lightquant.schemes import SCHEMES
from source_texts import FIELD, REPOSITORY, templates, templates_of

LANGUAGES = ("en", "zh")
READMES = {"en": "README.md", "zh": "README.zh.md"}
DOCS = {
    "en": sorted(page.relative_to(REPOSITORY).as_posix() for page in (REPOSITORY / "docs").glob("*.md") if not page.name.endswith(".zh.md")),
    "zh": sorted(page.relative_to(REPOSITORY).as_posix() for page in (REPOSITORY / "docs").glob("*.zh.md")),
}
"""What is too long for the READMEs, by language."""
PAIRS = list(zip((READMES["en"], *DOCS["en"]), (READMES["zh"], *(f"{page[:-3]}.zh.md" for page in DOCS["en"])), strict=True))
"""Every page in English and in Chinese."""
HELP = REPOSITORY / "web" / "docs"
MESSAGE = ("message", "信息")
"""The head of the column that quotes errors."""
COMFYUIS_CATEGORIES = {"loaders"}
"""What ComfyUI's page names itself; a name of ours would replace it for every pack."""
VARYING = "…"
"""Stands for the varying part of a quoted error."""


def schemas() -> list:
    from lightquant.nodes import LightQuantExtension

    return [node.define_schema() for node in asyncio.run(LightQuantExtension().get_node_list())]


def read(*path: str) -> str:
    return REPOSITORY.joinpath(*path).read_text(encoding="utf-8")


def node_texts(language: str) -> dict:
    return json.loads(read("locales", language, "nodeDefs.json"))


def strings(value: object) -> list[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        return [value]
    return [text for each in (value.values() if isinstance(value, dict) else value) for text in strings(each)]


def code(text: str) -> list[str]:
    """What stands in backticks, in order."""
    return re.findall(r"`([^`\n]+)`", text)


def headings(text: str) -> list[int]:
    """The level of each heading, in order."""
    return [len(found) for found in re.findall(r"^(#+) ", text, re.MULTILINE)]


def tables(text: str) -> list[list[list[str]]]:
    """Tables as rows of cells; the separator under the head is left out."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[line.strip("| ").split(" | ") for line in block.splitlines() if not re.fullmatch(r"[|\s:-]+", line)] for block in blocks]


def quoted_errors(text: str) -> list[str]:
    """The messages in the first column of the table that says what to do about each."""
    return [quote for table in tables(text) if table[0][0] in MESSAGE for row in table[1:] for quote in code(row[0])]


def what_is_said(language: str) -> list[str]:
    """Every text that an error may be put together from, its fields as VARYING. What is said before ComfyUI runs a node is English in both."""
    said = templates() | templates_of(read("__init__.py"))
    if language == "zh":
        said |= set(json.loads(read("locales", "zh", "messages.json")).values())
    return [FIELD.sub(VARYING, text).replace("%s", VARYING) for text in said]


def code_but_errors(text: str) -> list[str]:
    """What stands in backticks and is called the same in both languages."""
    errors = quoted_errors(text)
    return [each for each in code(text) if each not in errors]


def code_in_cells(table: list[list[str]]) -> list[list[list[str]]]:
    """The same of a table, by cell."""
    return [[code(cell) for cell in (row[1:] if table[0][0] in MESSAGE else row)] for row in table]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_input_and_output_is_named(language):
    texts = node_texts(language)
    assert set(texts) == {schema.node_id for schema in schemas()}
    for schema in schemas():
        node = texts[schema.node_id]
        assert node["display_name"]
        assert node["description"]
        assert set(node["inputs"]) == {each.id for each in schema.inputs}
        assert all(each["name"] and each["tooltip"] for each in node["inputs"].values())
        assert set(node["outputs"]) == {str(index) for index in range(len(schema.outputs))}
        assert all(each["name"] for each in node["outputs"].values())


def test_the_english_texts_are_the_schemas_own():
    texts = node_texts("en")
    for schema in schemas():
        node = texts[schema.node_id]
        assert (node["display_name"], node["description"]) == (schema.display_name, schema.description)
        assert {each.id: each.tooltip for each in schema.inputs} == {name: each["tooltip"] for name, each in node["inputs"].items()}


def test_both_languages_have_the_same_keys():
    def keys(value: object) -> object:
        return {name: keys(each) for name, each in value.items()} if isinstance(value, dict) else None

    for file in ("nodeDefs.json", "main.json", "settings.json"):
        english, chinese = (json.loads(read("locales", language, file)) for language in LANGUAGES)
        assert keys(english) == keys(chinese)


def test_the_chinese_texts_are_chinese():
    """Names that are the same in both, such as LoRA, aside."""
    for node in node_texts("zh").values():
        texts = [node["display_name"], node["description"], *(each["tooltip"] for each in node["inputs"].values())]
        assert [text for text in texts if not CHINESE.search(text)] == []
    for setting in json.loads(read("locales", "zh", "settings.json")).values():
        assert all(map(CHINESE.search, strings(setting)))


def test_every_setting_that_is_shown_is_named():
    shown = re.findall(r'"(LightQuant\.\w+)"', read("web", "js", "settings.js"))
    for language in LANGUAGES:
        assert set(json.loads(read("locales", language, "settings.json"))) == {name.replace(".", "_") for name in shown}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_category_of_our_own_is_named(language):
    """The page translates each part of a category by itself."""
    categories = json.loads(read("locales", language, "main.json"))["nodeCategories"]
    assert {part for schema in schemas() for part in schema.category.split("/")} == set(categories) | COMFYUIS_CATEGORIES
    assert language == "en" or all(CHINESE.search(name) for part, name in categories.items() if part != "LightQuant")


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_hold_nothing_that_the_browsers_message_format_reads(language):
    for file in ("nodeDefs.json", "main.json"):
        assert [text for text in strings(json.loads(read("locales", language, file))) if re.search(r"[@{}|]", text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_has_a_help_page_that_names_its_inputs_and_outputs(language):
    for schema in schemas():
        page = read("web", "docs", schema.node_id, f"{language}.md")
        assert page.startswith(f"# {node_texts(language)[schema.node_id]['display_name']}\n")
        listed = re.findall(r"^- `(\w+)`", page, re.MULTILINE)
        # What gives out the type that it took is called by its name.
        outputs = [each.display_name if each.io_type == io.MatchType.io_type else each.io_type for each in schema.outputs]
        assert listed == [each.id for each in schema.inputs] + outputs


def test_help_pages_belong_to_nodes_and_say_the_same_in_both_languages():
    assert {folder.name for folder in HELP.iterdir()} == {schema.node_id for schema in schemas()}
    for schema in schemas():
        english, chinese = (read("web", "docs", schema.node_id, f"{language}.md") for language in LANGUAGES)
        assert headings(english) == headings(chinese)
        assert len(quoted_errors(english)) == len(quoted_errors(chinese))
        assert all(map(CHINESE.search, quoted_errors(chinese)))
        assert sorted(code_but_errors(english)) == sorted(code_but_errors(chinese))


@pytest.mark.parametrize("file", [*READMES.values(), *(page.relative_to(REPOSITORY).as_posix() for page in sorted(HELP.glob("*/*.md")))])
def test_quoted_errors_exist(file):
    said, errors = what_is_said("zh" if "zh" in file else "en"), quoted_errors(read(file))
    assert len(errors) >= (8 if file in READMES.values() else 4)
    missing = []
    for error in errors:
        # An error may be put together from several texts: each piece between the varying parts must stand in one.
        missing += [piece for piece in error.split(VARYING) if piece.strip() and not any(piece.strip() in text for text in said)]
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_name_commands_nodes_inputs_and_schemes(language):
    text = read(READMES[language])
    for command in ("python3 scripts/demo.py", "python3 scripts/test.py", "lightquant schemes", "lightquant inspect"):
        assert f"`{command}" in text
    named = set(code(text + read("docs", "nodes.md" if language == "en" else "nodes.zh.md")))
    for schema in schemas():
        assert schema.node_id in code(text)
        assert {each.id for each in schema.inputs} <= named
    by_name = {code(row[0])[0]: code(row[1])[0] for table in tables(text) for row in table if len(row) == 5 and code(row[0]) and code(row[1])}
    assert {name: by_name.get(name) for name in SCHEMES} == {scheme.name: scheme.format for scheme in SCHEMES.values()}


@pytest.mark.parametrize("file", [page for pair in PAIRS for page in pair])
def test_what_the_pages_link_to_exists(file):
    for target, part in re.findall(r"\]\(([^)#]+)(#[^)]*)?\)", read(file)):
        if target.startswith("http"):
            continue
        path = (REPOSITORY / file).parent / target
        assert path.exists(), target
        if part:
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert part[1:] in [title.lower().replace(" ", "-") for title in titles], part


def test_every_page_is_linked_from_the_readme_of_its_language():
    for language in LANGUAGES:
        assert set(DOCS[language]) <= set(re.findall(r"\]\(([^)#]+)\)", read(READMES[language])))


@pytest.mark.parametrize("file", ["docs/development.md", "docs/development.zh.md"])
def test_the_development_page_has_the_options_of_demo_and_tests(file):
    from demo_options import make_parser

    options = {option for action in make_parser()._actions for option in action.option_strings if option.startswith("--")} - {"--help"}
    named = {word.split()[0] for word in code(read(file)) if word.startswith("--")}
    assert options <= named


@pytest.mark.parametrize("pages", PAIRS, ids=lambda pages: pages[0])
def test_every_page_has_the_same_outline_and_tables_in_both_languages(pages):
    english, chinese = map(read, pages)
    assert headings(english) == headings(chinese)
    pairs = list(zip(tables(english), tables(chinese), strict=True))
    for ours, theirs in pairs:
        assert [len(row) for row in ours] == [len(row) for row in theirs], ours[0]
        assert code_in_cells(ours) == code_in_cells(theirs), ours[0]
    assert f"]({Path(pages[1]).name})" in english
    assert f"]({Path(pages[0]).name})" in chinese
