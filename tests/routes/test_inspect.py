"""/lightquant/inspect: the inspector's report, for a page."""

import base64
import io
import json
import threading

import pytest
from lightquant.bridge import inspecting
from lightquant.bridge.folders import full_path
from lightquant.reports.inspect import inspect, to_json
from lightquant.reports.text import to_text
from PIL import Image

BODY = {"component": "dit", "checkpoint": "wan_t2v_int8.safetensors"}


@pytest.mark.parametrize("data", [False, True])
def test_it_is_the_nodes_report(models, ask, device, data):
    status, answer = ask("POST", "inspect", json={**BODY, "data": data})
    assert status == 200
    expected = inspect(full_path("dit", BODY["checkpoint"]), device, data)
    text, picture = answer.pop("text"), answer.pop("picture")
    assert answer == json.loads(to_json(expected))
    assert (answer["data"] is not None) == data
    assert text == to_text(expected)
    kind, _, encoded = picture.partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).width > 500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"component": "lora"}, "component is 'lora'"),
        ({"data": "yes"}, "data is 'yes', where true or false is needed"),
        ({"checkpoint": None}, "checkpoint is absent"),
        ({"path": "/"}, "and not path"),
        ({"checkpoint": "wan_t2v_int8"}, "LightQuant found no such file as wan_t2v_int8"),
    ],
)
def test_what_makes_no_sense_is_named(models, ask, change, said):
    status, answer = ask("POST", "inspect", json={**BODY, **change})
    assert (status, said in answer["error"]) == (400, True), answer


def test_a_damaged_file_is_an_answer(models, ask):
    path = models / "diffusion_models" / "cut.safetensors"
    path.write_bytes((models / "diffusion_models" / "wan_t2v_int8.safetensors").read_bytes()[:4000])
    try:
        status, answer = ask("POST", "inspect", json={**BODY, "checkpoint": path.name})
    finally:
        path.unlink()
    assert (status, "its download was cut off" in answer["error"]) == (400, True)


def test_the_data_of_one_file_is_read_at_a_time(models, ask):
    with inspecting._reading:
        status, answer = ask("POST", "inspect", json={**BODY, "data": True})
        assert (status, "is being read" in answer["error"]) == (409, True)
        assert ask("POST", "inspect", json=BODY)[0] == 200
    assert ask("POST", "inspect", json={**BODY, "data": True})[0] == 200


def test_it_stops_when_the_page_is_gone(models, ask, monkeypatch):
    asked = threading.Event()

    def gone(request) -> bool:
        asked.set()
        return True

    monkeypatch.setattr("lightquant.routes.inspect.is_gone", gone)
    status, answer = ask("POST", "inspect", json={**BODY, "data": True})
    assert asked.is_set()
    assert (status, "is gone, so it was stopped" in answer["error"]) == (400, True)
    assert not inspecting._reading.locked()
