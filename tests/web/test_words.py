"""The texts of the page: the scripts use no key that a language lacks, and no language has one that they don't use."""

import json
import re
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "web"
SCRIPTS = sorted((WEB / "js").rglob("*.js"))
LOCALES = WEB.parent / "locales"
LANGUAGES = ("en", "zh")


def words(language: str) -> dict[str, str]:
    """The texts of the page by key."""
    areas = json.loads((WEB / "texts" / f"{language}.json").read_text(encoding="utf-8"))
    return {f"{area}.{name}": text for area, texts in areas.items() for name, text in texts.items()}


def used() -> set[str]:
    """Every string of the scripts that is a key: they write keys out, never put together."""
    areas = "|".join(sorted({key.split(".")[0] for key in words("en")}))
    return {key for script in SCRIPTS for key in re.findall(rf'"((?:{areas})\.\w+)"', script.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_has_a_text_and_every_text_is_used(language):
    assert set(words(language)) == used()
    assert all(words(language).values())


def test_both_languages_fill_in_the_same_fields():
    english, chinese = (words(language) for language in LANGUAGES)
    assert {key: set(re.findall(r"\{\w+\}", text)) for key, text in english.items()} == {
        key: set(re.findall(r"\{\w+\}", text)) for key, text in chinese.items()
    }


def test_no_script_holds_a_text_of_its_own():
    """What a script shows goes through t(); the English of settings and commands is ComfyUI's to translate, by locales/."""
    for script in SCRIPTS:
        if script.name not in ("settings.js", "lightquant.js", "language.js"):
            code = re.sub(r"//.*|/\*.*?\*/|`[^`]*`", "", script.read_text(encoding="utf-8"), flags=re.DOTALL)
            assert [
                text for text in re.findall(r'"([^"\n]*)"', code) if re.search(r"[a-z] [a-z]+ [a-z]", text) and "lightquant-" not in text
            ] == [], script


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_comfyui_translates_holds_nothing_that_its_message_format_reads(language):
    for file in ("settings.json", "commands.json", "main.json"):
        texts = re.findall(r': "(.*)"', (LOCALES / language / file).read_text(encoding="utf-8"))
        assert [text for text in texts if re.search(r"[@{}|]", text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_settings_and_commands_are_named(language):
    def listed(script: str, key: str) -> set[str]:
        return {found.replace(".", "_") for found in re.findall(key, (WEB / "js" / script).read_text(encoding="utf-8"))}

    def named(file: str) -> dict:
        return json.loads((LOCALES / language / file).read_text(encoding="utf-8"))

    settings, commands = named("settings.json"), named("commands.json")
    assert set(settings) == listed("settings.js", r'"(LightQuant\.\w+)"')
    assert all(setting["name"] and setting["tooltip"] for setting in settings.values())
    assert set(settings["LightQuant_MissingKernel"]["options"]) == {"substitute", "stop"}
    assert set(commands) == listed("lightquant.js", r'id: "(LightQuant\.\w+)"')
    assert all(command["label"] for command in commands.values())
    categories = set(re.findall(r'category: \["(\w+)", "(\w+)"', (WEB / "js" / "settings.js").read_text(encoding="utf-8")))
    assert {name for each in categories for name in each} == set(named("main.json")["settingsCategories"])


def test_the_english_of_the_settings_is_the_scripts_own():
    script = (WEB / "js" / "settings.js").read_text(encoding="utf-8")
    for setting in json.loads((LOCALES / "en" / "settings.json").read_text(encoding="utf-8")).values():
        assert f'name: "{setting["name"]}"' in script
        assert f'tooltip: "{setting["tooltip"]}"' in script


def test_the_style_sheet_has_every_class_that_the_scripts_use():
    style = (WEB / "css" / "lightquant.css").read_text(encoding="utf-8")
    classes = {found for script in SCRIPTS for found in re.findall(r"[\"' ](lightquant-(?!\$)[a-z0-9-]+)", script.read_text(encoding="utf-8"))}
    assert {name for name in classes if f".{name}" not in style and f"-{name}" not in style} <= {"lightquant-parts"}
