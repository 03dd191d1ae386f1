"""The inspector as the graph sees it."""

import json
import os

import comfy.model_management
import comfy.utils
import pytest
import small_models
import torch
from lightquant.errors import CheckpointError
from lightquant.nodes.inspect import Inspect


def test_schema_lists_every_components_checkpoints(models):
    schema = Inspect.define_schema()
    assert schema.node_id == "LightQuantInspect"
    checkpoint, data = schema.inputs
    assert (checkpoint.id, data.id, data.default) == ("checkpoint", "data", False)
    assert {"diffusion_models/wan_t2v_fp8.safetensors", "text_encoders/models_t5_umt5-xxl-enc-int8.pth"} <= set(checkpoint.options)
    assert any(name.startswith("clip_vision/") for name in checkpoint.options)
    assert [output.io_type for output in schema.outputs] == ["STRING", "STRING", "IMAGE"]
    assert schema.is_output_node


def test_text_json_and_picture_agree(models):
    output = Inspect.execute(checkpoint="diffusion_models/wan_i2v_int8.safetensors", data=False)
    text, as_json, image = output.args
    assert output.ui.as_dict()["text"] == (text,)
    assert "Wan DiT: Wan2.1 I2V; " in text
    assert json.loads(as_json)["format"] == "int8-channel"
    assert json.loads(as_json)["data"] is None
    assert (image.dtype, image.shape[0], image.shape[3]) == (torch.float32, 1, 3)
    assert 0 <= float(image.min()) < float(image.max()) == 1


def test_a_split_checkpoint_is_one_entry(models, floats, add_folder, tmp_path):
    small_models.save_split(small_models.quantized(floats["dit"], "dit", "fp8-channel"), tmp_path / "wan_split")
    add_folder("diffusion_models", tmp_path)
    names = [name for name in Inspect.define_schema().inputs[0].options if "wan_split" in name]
    assert names == ["diffusion_models/wan_split"]
    assert "split by block, 3 files" in Inspect.execute(checkpoint=names[0], data=False).args[0]


def test_reading_the_data_shows_progress(models, monkeypatch):
    seen = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: seen.append((value, total)))
    text, as_json, _ = Inspect.execute(checkpoint="diffusion_models/wan_t2v_fp8.safetensors", data=True).args
    assert seen[-1] == (1000, 1000)
    assert "nothing suspicious" in text
    assert len(json.loads(as_json)["data"]["scales"]) == 20


def test_the_user_can_cancel(models):
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        Inspect.execute(checkpoint="diffusion_models/wan_t2v_fp8.safetensors", data=True)
    comfy.model_management.interrupt_current_processing(False)


def test_a_changed_file_runs_again_and_nothing_else_does(models, floats):
    path = small_models.save({"a.weight": torch.ones(2, 2)}, models / "diffusion_models" / "changing.safetensors")
    name = "diffusion_models/changing.safetensors"
    try:
        first = Inspect.fingerprint_inputs(checkpoint=name, data=False)
        assert first == Inspect.fingerprint_inputs(checkpoint=name, data=False)
        assert first != Inspect.fingerprint_inputs(checkpoint=name, data=True)
        os.utime(path, (1, 1))
        assert first != Inspect.fingerprint_inputs(checkpoint=name, data=False)
    finally:
        path.unlink()
    assert "changing.safetensors among" in Inspect.fingerprint_inputs(checkpoint=name, data=False)
    with pytest.raises(CheckpointError, match=r"changing.safetensors among"):
        Inspect.execute(checkpoint=name, data=False)


def test_names_lead_nowhere_else(models):
    for name in ("diffusion_models/../../../etc/hostname", "loras/x.safetensors", "/etc/hostname"):
        with pytest.raises(CheckpointError):
            Inspect.execute(checkpoint=name, data=False)
