"""The report on checkpoints as the graph sees it."""

import json
import os
from pathlib import Path

import comfy.model_management
import comfy.utils
import pytest
import torch
from lightquant.errors import CheckpointError, ReportError
from lightquant.nodes.report import Report

INPUTS = {
    "checkpoint": "diffusion_models/wan_t2v_int8.safetensors", "against": "diffusion_models/wan_t2v.safetensors", "second": "none", "random": False,
}  # fmt: skip


@pytest.fixture
def output(tmp_path, monkeypatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path


def test_schema_lists_every_components_checkpoints(models):
    schema = Report.define_schema()
    checkpoint, against, second, _ = schema.inputs
    assert {INPUTS["checkpoint"], INPUTS["against"]} <= set(checkpoint.options) == set(against.options)
    assert second.options == ["none", *checkpoint.options]
    assert [output.io_type for output in schema.outputs] == ["STRING", "STRING", "IMAGE", "STRING"]
    assert schema.is_output_node


def test_text_json_picture_and_page_agree(models, output):
    result = Report.execute(**INPUTS)
    text, as_json, image, page = result.args
    assert result.ui.as_dict()["text"] == (text,)
    assert "Error of the weights: wan_t2v_int8.safetensors" in text
    assert "The weights are random" in text
    assert Path(page) == output / "lightquant" / "wan_t2v_int8_weights_00001_.html"
    assert text.endswith(f"page: {page}")
    html = Path(page).read_text(encoding="utf-8")
    found = json.loads(as_json)
    assert all(name in html and name in text for name in found["sides"][0]["worst"])
    assert (image.dtype, image.shape[0], image.shape[3]) == (torch.float32, 1, 3)
    assert Path(Report.execute(**INPUTS).args[3]).name == "wan_t2v_int8_weights_00002_.html"  # nothing is written over


def test_a_second_one_beside_it(models, output):
    _, as_json, *_ = Report.execute(**{**INPUTS, "second": "diffusion_models/wan_t2v_fp8.safetensors"}).args
    assert [side["formats"] for side in json.loads(as_json)["sides"]] == [["int8-channel"], ["fp8-channel"]]


def test_it_shows_progress(models, output, monkeypatch):
    seen = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: seen.append((value, total)))
    Report.execute(**INPUTS)
    assert seen[-1] == (1000, 1000)


def test_the_user_can_cancel_and_nothing_is_written(models, output):
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        Report.execute(**INPUTS)
    comfy.model_management.interrupt_current_processing(False)
    assert list(output.iterdir()) == []


def test_a_changed_file_runs_again_and_nothing_else_does(models):
    path = models / "diffusion_models" / "wan_t2v.safetensors"
    first, stat = Report.fingerprint_inputs(**INPUTS), path.stat()
    assert first == Report.fingerprint_inputs(**INPUTS)
    assert first != Report.fingerprint_inputs(**{**INPUTS, "random": True})
    os.utime(path, (1, 1))
    try:
        assert first != Report.fingerprint_inputs(**INPUTS)
    finally:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_what_cant_be_compared_is_an_error(models, output):
    with pytest.raises(ReportError, match="none of its weights has a scale"):
        Report.execute(**{**INPUTS, "checkpoint": INPUTS["against"]})
    with pytest.raises(ReportError, match="Take two"):
        Report.execute(**{**INPUTS, "against": "diffusion_models/wan_i2v.safetensors"})
    with pytest.raises(CheckpointError):
        Report.execute(**{**INPUTS, "checkpoint": "diffusion_models/../../etc/hostname"})
    assert list(output.iterdir()) == []
