"""The LoRA node as the graph sees it."""

import os

import comfy.model_management
import comfy.utils
import pipeline
import pytest
import small_loras
import torch
from lightquant.errors import LoraError
from lightquant.nodes.lora import LoRA

NAME = "node.safetensors"


@pytest.fixture
def path(tmp_path, add_folder):
    add_folder("loras", tmp_path)
    return small_loras.save(tmp_path, NAME, small_loras.factors(small_loras.QUANTIZED))


def test_schema(path):
    schema = LoRA.define_schema()
    assert (schema.node_id, schema.category) == ("LightQuantLoRA", "LightQuant/loaders")
    assert [each.id for each in schema.inputs] == ["model", "lora", "strength", "mode"]
    assert NAME in schema.inputs[1].options
    assert (schema.inputs[2].default, schema.inputs[3].default) == (1.0, "beside")
    assert [output.io_type for output in schema.outputs] == ["MODEL"]


def test_it_gives_a_model_and_shows_what_became_of_the_lora(models, path):
    model = pipeline.load_dit("wan_t2v_int8.safetensors")
    output = LoRA.execute(model=model, lora=NAME, strength=0.5, mode="beside")
    (text,) = output.ui.as_dict()["text"]
    assert text.splitlines() == [
        path, "strength 0.5, beside", "computed beside 20 layers (20 LoRA)",
        f"{sum(8 * sum(shape) for shape in small_loras.QUANTIZED.values()) * model.model_dtype().itemsize / 2**20:.1f} MiB of factors, "
        "of all LoRAs that this model has",
    ]  # fmt: skip
    assert output.args[0] is not model
    assert output.args[0].model is model.model


def test_strength_zero_gives_the_model_itself(models, path):
    model = pipeline.load_dit("wan_t2v_int8.safetensors")
    output = LoRA.execute(model=model, lora=NAME, strength=0.0, mode="beside")
    assert output.args[0] is model
    assert "nothing is added" in output.ui.as_dict()["text"][0]


def test_the_fingerprint_changes_with_the_inputs_and_with_the_file(models, path):
    inputs = {"lora": NAME, "strength": 1.0, "mode": "beside"}
    first = LoRA.fingerprint_inputs(**inputs)
    assert LoRA.fingerprint_inputs(model=None, **inputs) == first
    assert LoRA.fingerprint_inputs(**inputs | {"strength": 0.5}) != first
    os.utime(path, (1, 1))
    assert LoRA.fingerprint_inputs(**inputs) != first
    assert "found no such LoRA" in LoRA.fingerprint_inputs(**inputs | {"lora": "absent.safetensors"})


def test_names_lead_nowhere_else(models, path):
    model = pipeline.load_dit("wan_t2v_int8.safetensors")
    for name in ("absent.safetensors", "../../absent.safetensors"):
        with pytest.raises(LoraError, match="found no such LoRA"):
            LoRA.execute(model=model, lora=name, strength=1.0, mode="beside")


def test_baking_shows_progress_and_can_be_cancelled(models, path, monkeypatch):
    model, seen = pipeline.load_dit("wan_t2v_int8.safetensors"), []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: seen.append((value, total)))
    LoRA.execute(model=model, lora=NAME, strength=1.0, mode="bake")
    assert seen[-1] == (20, 20)
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        LoRA.execute(model=model, lora=NAME, strength=1.0, mode="bake")
    comfy.model_management.interrupt_current_processing(False)
    assert not model.patches


def test_two_nodes_share_nothing(models, path):
    """The MODEL of the first is as it was after the second has made its own of it."""
    model = pipeline.load_dit("wan_t2v_int8.safetensors")
    first = LoRA.execute(model=model, lora=NAME, strength=1.0, mode="beside").args[0]
    before = pipeline.sample(first, pipeline.conditioning(1), pipeline.conditioning(2), steps=1)
    second = LoRA.execute(model=first, lora=NAME, strength=1.0, mode="beside").args[0]
    after = pipeline.sample(second, pipeline.conditioning(1), pipeline.conditioning(2), steps=1)
    assert not torch.equal(before, after)
    assert torch.equal(pipeline.sample(first, pipeline.conditioning(1), pipeline.conditioning(2), steps=1), before)
