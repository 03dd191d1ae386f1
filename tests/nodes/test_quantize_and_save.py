"""The two nodes as the graph sees them: quantize a model, save it, load the file."""

import asyncio

import pipeline
import pytest
import small_models
import torch
from checks import assert_same
from comfy_api.latest import io
from lightquant.bridge.record import record_of
from lightquant.errors import ConvertError
from lightquant.nodes.quantize import Quantize
from lightquant.nodes.save import Save
from lightquant.schemes import SCHEMES

INPUTS = {"scheme": "int8-torch", "missing_kernel": "substitute", "scale": "absmax"}
SAVING = {"filename": "saved", "layout": "single", "for": "lightx2v", "bake": False, "overwrite": False}


@pytest.fixture
def place(models, floats, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(tmp_path)], {".safetensors"}))
    small_models.save(floats["dit"], tmp_path / "float.safetensors")
    return tmp_path


def stock_model():
    """By ComfyUI's own loader node."""
    import nodes

    return nodes.UNETLoader().load_unet("float.safetensors", "default")[0]


def test_schemas():
    quantize, save = Quantize.define_schema(), Save.define_schema()
    assert {each.id: getattr(each, "options", None) for each in quantize.inputs} == {
        "model": None, "scheme": [*SCHEMES], "missing_kernel": ["substitute", "stop"], "scale": ["absmax", "mse"],
    }  # fmt: skip
    assert {each.id: getattr(each, "default", None) for each in save.inputs} == {
        "model": None, "filename": "lightquant/my_model", "layout": "single", "for": "lightx2v", "bake": False, "overwrite": False,
    }  # fmt: skip
    assert save.is_output_node


def test_from_a_stock_loader_to_a_file_and_back(place):
    output = Quantize.execute(stock_model(), **INPUTS)
    (text,) = output.ui.as_dict()["text"]
    assert text.startswith("kernel int8-torch, int8-channel, 0.0")
    assert "the MODEL, quantized in the graph, absmax" in text
    (model,) = output.args
    saved = Save.execute(model, **SAVING)
    assert saved.args == (str(place / "saved.safetensors"),)
    assert str(place / "saved.safetensors") in saved.ui.as_dict()["text"][0]
    again = pipeline.load_dit("saved.safetensors", scheme="int8-torch")
    assert_same(again, model)
    latents = [pipeline.sample(each, pipeline.conditioning(1), pipeline.conditioning(2)) for each in (model, again)]
    assert torch.equal(*latents)
    with pytest.raises(ConvertError, match="turn overwrite on"):
        Save.execute(model, **SAVING)
    Save.execute(model, **{**SAVING, "overwrite": True})


def test_a_kernel_that_cannot_run(place):
    from lightquant.errors import KernelError

    with pytest.raises(KernelError, match="it needs an NVIDIA GPU"):
        Quantize.execute(stock_model(), **{**INPUTS, "scheme": "int8-q8f", "missing_kernel": "stop"})
    (model,) = Quantize.execute(stock_model(), **{**INPUTS, "scheme": "int8-q8f", "scale": "mse"}).args
    assert record_of(model).kernel != "int8-q8f"
    assert record_of(model).how == "quantized in the graph, mse"


def server_says(graph: dict) -> dict:
    """What ComfyUI's server finds wrong with a graph before it runs it, by node."""
    import execution

    valid, _, _, errors = asyncio.run(execution.validate_prompt("id", graph, None))
    return {} if valid else errors


@pytest.fixture
def in_comfyui(monkeypatch, models):
    """The pack's nodes beside ComfyUI's own."""
    import nodes
    from lightquant.nodes import LightQuantExtension

    for node in asyncio.run(LightQuantExtension().get_node_list()):
        schema = node.GET_SCHEMA()
        monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, schema.node_id, node)


def test_the_server_takes_every_kind_of_model_through_both(in_comfyui):
    for loader in ("LightQuantLoadDiT", "LightQuantLoadT5", "LightQuantLoadCLIP"):
        inputs = {**pipeline.INPUTS, "tokenizer": "find it"} if loader == "LightQuantLoadT5" else pipeline.INPUTS
        graph = {
            "1": {"class_type": loader, "inputs": inputs},
            "2": {"class_type": "LightQuantQuantize", "inputs": {"model": ["1", 0], **INPUTS}},
            "3": {"class_type": "LightQuantSave", "inputs": {"model": ["2", 0], **SAVING}},
        }
        assert server_says(graph) == {}
        assert server_says({**graph, "3": {"class_type": "LightQuantSave", "inputs": {"model": ["1", 0], **SAVING}}}) == {}


def test_the_server_stops_what_is_no_model_before_it_is_saved(in_comfyui):
    graph = {
        "1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "2": {"class_type": "LightQuantSave", "inputs": {"model": ["1", 0], **SAVING}},
    }
    assert "2" in server_says(graph)


def test_what_gets_past_the_server_is_refused_by_the_node():
    with pytest.raises(ConvertError, match="LightQuant got a dict, where a MODEL, a CLIP or a CLIP_VISION is needed"):
        Quantize.execute({"samples": torch.zeros(1)}, **INPUTS)
    assert Quantize.define_schema().outputs[0].io_type == io.MatchType.io_type
