"""Whose language it is: ComfyUI's own setting, or what the page was seen in."""

import json

import comfy.cli_args
import folder_paths
import pytest
from lightquant.bridge import language, status


@pytest.fixture
def set_to(tmp_path, monkeypatch):
    """Writes ComfyUI's settings file."""
    monkeypatch.setattr(folder_paths, "get_user_directory", lambda: str(tmp_path))
    (tmp_path / "default").mkdir()
    return lambda settings: (tmp_path / "default" / "comfy.settings.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "en"),
        ({"Comfy.Locale": "zh"}, "zh"),
        ({"Comfy.Locale": "zh-TW"}, "zh"),
        ({"Comfy.Locale": "ru"}, "en"),
        ({"LightQuant.Locale": "zh"}, "zh"),
        ({"Comfy.Locale": "en", "LightQuant.Locale": "zh"}, "en"),
        ({"Comfy.Locale": 3, "LightQuant.Locale": "zh"}, "zh"),
        ([], "en"),
    ],
)
def test_the_setting_says_which(set_to, settings, expected):
    set_to(settings)
    assert language.language() == expected


def test_it_is_english_where_nothing_can_say_which(set_to, tmp_path, monkeypatch):
    (tmp_path / "default" / "comfy.settings.json").write_text("broken", encoding="utf-8")
    assert language.language() == "en"
    (tmp_path / "default" / "comfy.settings.json").unlink()
    assert language.language() == "en"
    set_to({"Comfy.Locale": "zh"})
    monkeypatch.setattr(comfy.cli_args.args, "multi_user", True)
    assert language.language() == "en"


def test_a_text_is_shown_and_given_back_in_it(set_to, monkeypatch):
    set_to({"Comfy.Locale": "zh"})
    monkeypatch.setattr(status, "in_users_language", language.in_users_language)
    sent = []
    monkeypatch.setattr(status, "prompt_server", lambda: type("Server", (), {"send_progress_text": lambda self, *said: sent.append(said)})())
    assert status.show("nothing suspicious", "7") == "没有可疑之处"
    assert sent == [("没有可疑之处", "7")]
