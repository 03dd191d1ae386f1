import pipeline
import pytest
from comfy_execution.graph_utils import ExecutionBlocker
from lightquant.errors import OffloadError
from lightquant.nodes.offload import Offload
from lightquant.offload.curtain import Curtain
from offloading import INPUTS, offloaded, sample


@pytest.fixture(autouse=True)
def own_streaming(request):
    """Under dynamic VRAM the node says other things, and takes every model."""
    if request.config.getoption("--dynamic-vram"):
        pytest.skip("the node adds nothing to dynamic VRAM")


def test_every_kind_of_model_comes_out_as_a_clone(models):
    given = {
        "model": pipeline.load_dit("wan_t2v_fp8.safetensors"),
        "clip": pipeline.load_t5("models_t5_umt5-xxl-enc-fp8.pth"),
        "clip_vision": pipeline.load_clip("models_clip_open-clip-xlm-roberta-large-vit-huge-14-fp8.pth"),
    }
    outputs = Offload.execute(**given, **INPUTS).args
    for before, after in zip(given.values(), outputs, strict=True):
        assert type(after) is type(before)
        assert after is not before
        patchers = [getattr(each, "patcher", each) for each in (before, after)]
        assert patchers[0].model is patchers[1].model
        hidden = [sum(isinstance(patch, Curtain) for patch in patcher.object_patches.values()) for patcher in patchers]
        assert hidden[0] == 0 < hidden[1]


def test_what_is_not_connected_is_blocked_by_name(models):
    outputs = Offload.execute(model=pipeline.load_dit("wan_t2v_fp8.safetensors"), **INPUTS).args
    assert all(isinstance(each, ExecutionBlocker) for each in outputs[1:])
    assert "clip_vision" in outputs[2].message


def test_nothing_connected_is_an_error():
    with pytest.raises(OffloadError, match="Nothing is connected to Offload Model"):
        Offload.execute(**INPUTS)


def test_it_says_before_what_it_will_use_and_after_what_it_used(models, monkeypatch):
    said = []
    monkeypatch.setattr("lightquant.nodes.offload.show", lambda text, node: said.append(text))
    model = offloaded(pipeline.load_dit("wan_t2v_fp8.safetensors"), keep=0.5, chunk_rows=4)
    assert len(said) == 1
    for words in ("by block: 1 of 2 blocks stay in VRAM", "two buffers", "pinned memory", "chunks of 4 rows", "computes on the CPU"):
        assert words in said[0]
    sample(model)
    assert len(said) == 2
    for words in ("model used: weights that stayed on the device", "streamed", "turns", "FFN in chunks of 4 rows: bit-identical"):
        assert words in said[1]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"from_disk": True}, "read from the file each time"),
        ({"pinned": False}, "as a rule the file's mapping"),
        ({"pinned_limit": 3.0}, "at most 3 GiB"),
        ({"granularity": "model"}, "leaves VRAM at the end of each run"),
        ({"granularity": "phase"}, "by phase: 0 of 2"),
    ],
)
def test_it_says_what_was_chosen(models, inputs, words):
    text = Offload.execute(model=pipeline.load_dit("wan_t2v_fp8.safetensors"), **{**INPUTS, **inputs}).ui.as_dict()["text"][0]
    assert words in text


def test_a_model_of_another_loader_needs_dynamic_vram(models, floats):
    import float_models

    with pytest.raises(OffloadError, match="no layers of LightQuant's that could be streamed"):
        offloaded(float_models.load_dit(floats["dit"]))


def test_it_can_leave_vram_or_compute_in_chunks_all_the_same(models, floats):
    import float_models

    model = float_models.load_dit(floats["dit"])
    plain = sample(model)
    for inputs in ({"granularity": "model"}, {"chunk_rows": 16}):
        assert (sample(offloaded(model, **inputs)) - plain).abs().max() < 1e-3
