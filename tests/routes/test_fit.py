"""/lightquant/fit: what `lightquant fit` says, for a page."""

import json
import re

import pytest
from lightquant.bridge.loaded_models import machine_gib
from lightquant.reports.fit import Wish, fit
from lightquant.reports.fit.text import to_text


def test_it_is_the_commands_answer(ask):
    size = {"frames": "49", "width": "832", "height": "480"}
    query = {"vram": "12", "ram": "32.5", **size, "model": "wan2.1-i2v-14b", "gpu": "", "scheme": "fp8-torch"}
    status, answer = ask("GET", "fit", params=query)
    expected = fit(Wish(12.0, 32.5, 49, 832, 480, "wan2.1-i2v-14b", scheme="fp8-torch"))
    assert status == 200
    assert answer["text"] == to_text(expected)
    assert answer == json.loads(json.dumps(expected.as_dict()))


def test_what_is_left_out_is_this_machines(ask):
    vram, ram = machine_gib()
    status, answer = ask("GET", "fit", params={"vram": "24"})
    assert status == 200
    assert answer["text"] == to_text(fit(Wish(24.0, ram)))
    assert ask("GET", "fit", params={"gpu": "RTX 4090"})[1]["wish"]["vram_gib"] == Wish(None, ram, gpu="RTX 4090").vram
    if vram is None:
        status, answer = ask("GET", "fit")
        assert (status, "Give the VRAM in GiB" in answer["error"]) == (400, True)


def test_a_form_begins_with_the_models_and_this_machine(ask):
    vram, ram = machine_gib()
    status, answer = ask("GET", "fit/models")
    assert (status, answer["vram"], answer["ram"]) == (200, vram, ram)
    assert answer["card"] is None or vram is not None
    for card in answer["cards"]:
        assert ask("GET", "fit", params={"gpu": card["name"]})[1]["wish"]["vram_gib"] == card["vram"]
    assert ask("GET", "fit", params={"vram": "48"})[1]["wish"]["gpu"] == answer["measured"]
    for scheme in answer["schemes"]:
        assert ask("GET", "fit", params={"vram": "48", "scheme": scheme})[1]["wish"]["scheme"] == scheme
    for model in answer["models"]:
        assert ask("GET", "fit", params={"vram": "48", "model": model["name"]})[1]["model"] == model["title"]


def test_no_answer_names_an_option_of_the_command(ask):
    for query in ({"vram": "24"}, {"vram": "4", "ram": "4"}, {"vram": "24", "ram": "16"}):
        assert re.findall(r"--(?!disable-dynamic-vram)\w+", ask("GET", "fit", params=query)[1]["text"]) == []  # that one is ComfyUI's own


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"vram": "much"}, "vram is 'much', where a number is needed"),
        ({"vram": "24", "frames": "81.5"}, "frames is '81.5'"),
        ({"vram": "nan"}, "where a number above 0 is needed"),
        ({"vram": "-1"}, "where a number above 0 is needed"),
        ({"vram": "24", "frames": "80"}, "take 77 or 81"),
        ({"vram": "24", "model": "sora"}, "There is no model sora"),
    ],
)
def test_what_makes_no_sense_is_named(ask, query, said):
    status, answer = ask("GET", "fit", params=query)
    assert (status, said in answer["error"]) == (400, True), answer
