"""ComfyUI's nodes that put a model on another device than the one its loader chose its kernels for."""

import nodes
import pipeline
import pytest
import torch
from lightquant.bridge import deciding
from lightquant.kernels import registry
from lightquant.kernels.order import last_resort
from lightquant.kernels.registry import VARIANTS, Asked, Selection

multigpu = pytest.importorskip("comfy_extras.nodes_multigpu", reason="this ComfyUI has no such nodes")

GPU = torch.device("cuda", 7)
DIT, T5 = "wan_t2v_int8.safetensors", "models_t5_umt5-xxl-enc-int8.pth"


@pytest.fixture(params=["int8-triton", "int8-vllm"])
def loaded_for_a_gpu(models, monkeypatch, request):
    """Whatever is loaded has a kernel that runs on a GPU alone, as on a machine that has that one."""

    def select(request_, scheme, format_name, checking):
        asked = Asked(request.param, format_name, GPU, ())
        return Selection(VARIANTS[request.param][0], VARIANTS[last_resort(format_name)][-1], "a GPU's", asked)

    monkeypatch.setattr(registry, "_ELSEWHERE", {})
    monkeypatch.setattr(deciding, "_select", select)


def sample(model) -> torch.Tensor:
    return pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2))


@pytest.fixture
def expected(models, device):
    """The latents and the conditioning of models that were loaded for the CPU."""
    if device.type != "cpu":
        pytest.skip("a loader here chooses for the GPU")
    (conditioning,) = nodes.CLIPTextEncode().encode(pipeline.load_t5(T5), "a cat")
    return sample(pipeline.load_dit(DIT)), conditioning[0][0]


def test_select_model_device(expected, loaded_for_a_gpu, caplog):
    caplog.set_level("INFO")
    on_the_cpu = multigpu.SelectModelDeviceNode.execute(pipeline.load_dit(DIT), "cpu").args[0]
    assert torch.equal(sample(on_the_cpu), expected[0])
    assert caplog.text.count("weights loaded for cuda:7 are on cpu") == 1


def test_select_clip_device(expected, loaded_for_a_gpu):
    clip = multigpu.SelectCLIPDeviceNode.execute(pipeline.load_t5(T5), "cpu").args[0]
    (conditioning,) = nodes.CLIPTextEncode().encode(clip, "a cat")
    assert torch.equal(conditioning[0][0], expected[1])


def test_a_copy_for_another_device(expected, loaded_for_a_gpu):
    """What multi-GPU nodes load for each further device comes from our factory, which knows the default one alone."""
    copy = pipeline.load_dit(DIT).deepclone_multigpu(new_load_device=torch.device("cpu"))
    assert torch.equal(sample(copy), expected[0])
