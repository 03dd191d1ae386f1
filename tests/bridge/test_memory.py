"""What ComfyUI's memory management is asked for."""

import comfy.model_management
import pipeline
import pytest
import torch
from lightquant.bridge import memory
from offloading import sample


def test_only_the_model_that_is_named_leaves_its_device(models):
    first, second = (pipeline.load_dit(f"wan_t2v_{tag}.safetensors") for tag in ("fp8", "int8"))
    for model in (first, second):
        sample(model, steps=1)
    memory.unload(first.clone())
    assert first.loaded_size() == 0 < second.loaded_size()
    assert [each.model for each in comfy.model_management.current_loaded_models] == [second]


def test_room_that_is_left_is_asked_for_before_every_run(models, monkeypatch):
    model = pipeline.load_dit("wan_t2v_fp8.safetensors").clone()
    model.size = model.model_size() + 1000
    sample(model, steps=1)
    (loaded,) = comfy.model_management.current_loaded_models
    assert loaded.model_memory_required(model.load_device) == 0
    for _ in range(2):
        memory.leave_room(model, 1000)
        assert loaded.model_memory_required(model.load_device) == 1000
    sample(model, steps=1)
    assert loaded.model_memory_required(model.load_device) == 1000


def test_without_a_gpu_there_is_nothing_to_pin_and_no_figure():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert memory.pin(torch.empty(10)) is False
    assert memory.bytes_in_use(torch.device("cpu")) is None


def test_host_memory_keeps_its_headroom(monkeypatch):
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: memory.HEADROOM + 5)
    assert memory.free_host_bytes() == 5
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: 5)
    assert memory.free_host_bytes() == 0


def test_patches_and_wrappers_of_a_clone_are_found(models):
    model = pipeline.load_dit("wan_t2v_fp8.safetensors").clone()
    key = "diffusion_model.blocks.0.ffn.0.weight"
    model.add_patches({key: ("diff", (torch.ones(512, 256),))})
    model.add_weight_wrapper(key, lambda weight: weight * 2)
    functions = memory.patches_on(model)[key]
    value = torch.zeros(512, 256)
    for function in functions:
        value = function(value)
    assert torch.equal(value, torch.full((512, 256), 2.0))
    assert set(memory.patches_on(model)) == {key}
