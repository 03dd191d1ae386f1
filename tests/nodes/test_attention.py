"""The loaders' own attention input, and what the nodes show of it."""

import config_node
import pipeline
import pytest
from lightquant.attention.override import Override
from lightquant.bridge.attention_hook import override_of
from lightquant.nodes.loaders import LoadDiT
from offloading import sample
from recording import shown, stand_in


@pytest.fixture
def recorded(monkeypatch):
    """A kernel that stands for `sdpa-flash` and is `auto`'s choice."""
    return stand_in(monkeypatch)


@pytest.fixture
def said(monkeypatch):
    """What is shown on nodes."""
    return shown(monkeypatch)


@pytest.mark.parametrize(("attention", "taken"), [({}, True), ({"attention": "auto"}, True), ({"attention": "comfyui"}, False)])
def test_the_loaders_take_autos_kernel_where_one_was_measured(models, recorded, said, attention, taken):
    output = LoadDiT.execute(**{**pipeline.INPUTS, "checkpoint": "wan_t2v_fp8.safetensors"}, **attention)
    text = output.ui.as_dict()["text"][0]
    last = "attention sdpa-flash: auto: it was recorded (measured in a test)" if taken else "attention ComfyUI's own: as asked for"
    assert text.splitlines()[-1] == last
    sample(output.args[0], steps=1, cfg=1.0)
    assert len(recorded.calls) == (4 if taken else 0)
    assert said == [text, f"{text}\nattention of the last run: sdpa-flash took 4 calls"][: 1 + taken]


def test_the_pair_takes_it_for_both_experts(experts, recorded, said):
    high, low = pipeline.load_pair()
    assert isinstance(override_of(high), Override)
    assert override_of(high) is not override_of(low)
    assert said[0].count("attention sdpa-flash: auto") == 2
    sample(low, steps=1, cfg=1.0)
    assert said[1] == f"{said[0]}\nlow noise: attention of the last run: sdpa-flash took 4 calls"


def test_a_configuration_takes_it_and_says_so_in_its_description(wan, recorded, said):
    model, _, _, _, description = config_node.run({"dit_quantized": True, "dit_quant_scheme": "int8-vllm"}).args
    assert isinstance(override_of(model), Override)
    assert description == said[0]
    assert "model: blocks, plain: ComfyUI's own (auto: fusing is for NVIDIA GPUs)\nattention sdpa-flash: auto" in description


def test_a_configurations_model_keeps_comfyuis_own_where_that_is_asked_for(wan, recorded):
    output = config_node.run({"dit_quantized": True, "dit_quant_scheme": "int8-vllm"}, attention="comfyui")
    assert override_of(output.args[0]) is None
    assert "attention ComfyUI's own: as asked for" in output.args[-1]


@pytest.mark.parametrize("blocks", ["auto", "share", "fuse"])
def test_the_loaders_have_blocks_computed_as_asked_and_tell_both_after_a_run(models, recorded, said, blocks):
    model = LoadDiT.execute(**{**pipeline.INPUTS, "checkpoint": "wan_t2v_fp8.safetensors"}, blocks=blocks).args[0]
    sample(model, steps=1, cfg=1.0)
    assert f"\nblocks, {'plain' if blocks == 'auto' else blocks}: " in said[0]
    used = ["attention of the last run: sdpa-flash took"] + ([] if blocks == "auto" else ["blocks of the last run: 2 computed so"])
    assert len(said) == 1 + len(used)
    assert said[-1].startswith(said[0])
    assert all(each in said[-1] for each in used)

