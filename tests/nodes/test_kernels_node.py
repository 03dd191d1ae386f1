"""The kernel report as the graph sees it."""

import json

import comfy.model_management
import comfy.utils
import comfyui_version
import pytest
from lightquant.bridge import kernels_here
from lightquant.kernels.checks import remembered
from lightquant.kernels.checks.finding import Finding
from lightquant.nodes.kernels import Kernels
from lightquant.schemes import ATTENTIONS, SCHEMES


@pytest.fixture(autouse=True)
def no_report_yet(monkeypatch):
    monkeypatch.setattr(kernels_here, "_last", None)


def test_schema():
    schema = Kernels.define_schema()
    assert (schema.node_id, schema.category, schema.is_output_node) == ("LightQuantKernels", "LightQuant/reports", True)
    assert [(each.id, each.default) for each in schema.inputs] == [("recheck", False)]
    assert [output.io_type for output in schema.outputs] == ["STRING", "STRING"]


def test_text_and_json_agree_and_the_node_shows_the_text():
    output = Kernels.execute(recheck=False)
    text, as_json = output.args
    report = json.loads(as_json)
    assert output.ui.as_dict()["text"] == (text,)
    assert [row["scheme"] for row in report["kernels"]] == list(SCHEMES)
    assert report["environment"]["comfyui"] == comfyui_version.__version__
    assert all(row["why"] in " ".join(text.split()) for row in report["kernels"])
    assert kernels_here.last_report().as_dict() == kernels_here._last.as_dict()


def test_it_runs_each_time_it_is_queued():
    assert Kernels.fingerprint_inputs(recheck=False) != Kernels.fingerprint_inputs(recheck=False)


def test_recheck_forgets():
    remembered.remember({"a": Finding(True, "it was right")})
    Kernels.execute(recheck=False)
    assert remembered.recall("a")
    Kernels.execute(recheck=True)
    assert remembered.recall("a") is None


def test_it_shows_progress(monkeypatch):
    seen = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: seen.append((value, total)))
    Kernels.execute(recheck=False)
    total = 1 + len(SCHEMES) + len(ATTENTIONS)
    assert seen[-1] == (total, total)


def test_the_user_can_cancel_and_make_it_again():
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        Kernels.execute(recheck=False)
    comfy.model_management.interrupt_current_processing(False)
    assert not kernels_here.last_report().checked
    Kernels.execute(recheck=False)
    assert kernels_here.last_report().checked
