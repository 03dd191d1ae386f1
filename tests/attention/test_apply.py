"""Who decides on a model's attention: the node, the loaders' auto, other nodes' overrides, ComfyUI's start options."""

import pipeline
import pytest
import torch
from comfy.cli_args import args
from lightquant.attention.apply import attend
from lightquant.attention.override import Override
from lightquant.bridge.attention_hook import override_of, set_override
from lightquant.errors import KernelError
from lightquant.nodes.attention import Attention
from lightquant.schemes import ATTENTIONS
from offloading import sample
from recording import NAME

FLAGS = [
    "use_sage_attention", "use_flash_attention", "use_pytorch_cross_attention", "use_split_cross_attention", "use_quad_cross_attention",
    "force_upcast_attention",
]  # fmt: skip


def with_attention(model, attention: str, missing_kernel: str = "substitute"):
    """The MODEL behind the node, and what the node shows."""
    output = Attention.execute(model, attention, missing_kernel)
    return output.args[0], output.ui.as_dict()["text"][0]


@pytest.fixture
def bare(models):
    """A model that no kernel was given to."""
    return pipeline.load_dit("wan_t2v_fp8.safetensors", attention="comfyui")


def answering(own, *args, **kwargs):
    """Another node's override, which answers every call itself."""
    answering.calls += 1
    return own(*args, **kwargs) if answering.hands_on else torch.nn.functional.scaled_dot_product_attention(*args[:3])


answering.calls, answering.hands_on = 0, True


def test_the_node_has_every_choice():
    inputs = {each.id: each for each in Attention.define_schema().inputs}
    assert inputs["attention"].options == ["auto", "comfyui", *ATTENTIONS]
    assert list(inputs) == ["model", "attention", "missing_kernel"]


def test_the_nodes_model_has_the_kernel_and_the_one_given_has_not(bare):
    model, text = with_attention(bare, NAME)
    assert model is not bare
    assert model.model is bare.model
    assert override_of(bare) is None
    assert override_of(model).kernel.name == NAME
    assert text.startswith(f"attention {NAME}: torch's SDPA")


def test_another_node_replaces_it_and_comfyui_takes_it_away(bare, recorded):
    first, _ = with_attention(bare, "auto")
    second, _ = with_attention(first, NAME)
    assert override_of(second) is not override_of(first)
    assert override_of(second).outer is None
    third, text = with_attention(second, "comfyui")
    assert override_of(third) is None
    assert text == "attention ComfyUI's own: as asked for"
    assert isinstance(override_of(second), Override)


def test_what_else_hangs_on_the_model_stays(bare):
    bare.model_options["transformer_options"]["patches"] = {"attn1_patch": []}
    model, _ = with_attention(bare, NAME)
    model, _ = with_attention(model, "comfyui")
    assert model.model_options["transformer_options"] == {"patches": {"attn1_patch": []}}


@pytest.mark.parametrize("flag", FLAGS)
def test_comfyuis_start_options_go_before_auto_and_behind_a_name(bare, recorded, monkeypatch, flag):
    assert not getattr(args, flag)
    monkeypatch.setattr(args, flag, True)
    model, text = with_attention(bare, "auto")
    assert override_of(model) is None
    assert text == f"attention ComfyUI's own: auto: ComfyUI was started with --{flag.replace('_', '-')}, which goes before it"
    model, text = with_attention(bare, NAME)
    assert override_of(model).kernel is recorded


def test_another_nodes_override_goes_before_auto(bare, recorded):
    set_override(bare, answering)
    model, text = with_attention(bare, "auto")
    assert override_of(model) is answering
    assert text.startswith("attention another node's override (")
    assert text.endswith("answering): auto leaves it so")
    model, text = with_attention(bare, "comfyui")
    assert override_of(model) is answering


@pytest.mark.parametrize("hands_on", [True, False])
def test_a_name_is_handed_to_another_nodes_override_in_place_of_comfyuis_function(recorded, monkeypatch, hands_on):
    monkeypatch.setattr(answering, "calls", 0)
    monkeypatch.setattr(answering, "hands_on", hands_on)
    from comfy.ldm.modules.attention import attention_pytorch

    q = torch.randn(1, 2, 9, 64, generator=torch.Generator().manual_seed(1))
    override = Override(recorded, torch.device("cpu"), answering)
    settings = {"skip_reshape": True, "skip_output_reshape": True, "transformer_options": {"optimized_attention_override": override}}
    output = attention_pytorch(q, q, q, 2, **settings)
    torch.testing.assert_close(output, torch.nn.functional.scaled_dot_product_attention(q, q, q))
    assert answering.calls == 1
    assert len(recorded.calls) == hands_on


def test_the_override_behind_a_name_is_kept_and_said(bare, recorded):
    set_override(bare, answering)
    for model in (bare, with_attention(bare, NAME)[0]):
        behind, text = with_attention(model, NAME)
        assert override_of(behind).outer is answering
        assert "answering) is on this model, and goes before it: what that leaves to ComfyUI goes to sdpa-flash" in text
        assert override_of(with_attention(behind, "auto")[0]) is answering


def test_an_override_that_a_later_node_sets_replaces_ours(model, recorded):
    clone = model.clone()
    set_override(clone, answering)
    answering.calls, answering.hands_on = 0, True
    sample(clone, steps=1, cfg=1.0)
    assert answering.calls == 4
    assert not recorded.calls


def test_a_kernel_that_can_not_run_here_is_substituted_or_stops(bare):
    model, text = with_attention(bare, "sage")
    assert override_of(model) is None
    assert text.startswith("attention ComfyUI's own: sage can't run here: it needs an NVIDIA GPU, this is the CPU; ComfyUI's own stands in for it")
    with pytest.raises(KernelError, match=r"The attention sage can't run here: .*Those that run on this machine: sdpa-flash"):
        with_attention(bare, "sage", "stop")


def test_a_quantized_one_is_called_so(bare, recorded, monkeypatch):
    monkeypatch.setattr(recorded, "is_exact", False, raising=False)
    assert with_attention(bare, NAME)[1].startswith("attention sdpa-flash, which quantizes: approximate: ")


def test_there_is_no_such_kernel(bare):
    with pytest.raises(KernelError, match="There is no attention kernel fastest"):
        attend(bare, "fastest")


def test_on_the_cpu_the_loaders_change_nothing(models):
    model = pipeline.load_dit("wan_t2v_fp8.safetensors")
    assert override_of(model) is None
    assert torch.equal(sample(model), sample(pipeline.load_dit("wan_t2v_fp8.safetensors", attention="comfyui")))


def test_clones_share_the_kernel_and_ask_for_no_reload(model, recorded):
    """ComfyUI takes clones with other attachments or other numbers of callbacks for models with other weights, and loads them anew."""
    clone, _ = with_attention(model, "comfyui")
    other, _ = with_attention(model, NAME)
    for each in (clone, other, model.clone()):
        assert model.clone_has_same_weights(each)
        assert each.clone_has_same_weights(model)
    assert override_of(model.clone()) is override_of(model)
