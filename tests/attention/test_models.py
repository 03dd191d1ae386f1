"""Whole models with a kernel of torch's own: what they sample, and together with everything else that a MODEL goes through."""

import offloading
import pipeline
import pytest
import small_loras
import torch
from checks import cosine
from lightquant.bridge.attention_hook import override_of
from lightquant.nodes.attention import Attention
from lightquant.nodes.lora import LoRA
from offloading import sample
from recording import NAME, shown
from safetensors.torch import save_file


def with_kernel(model, name: str = NAME):
    return Attention.execute(model, name, "stop").args[0]


def counted(model) -> dict[str, int]:
    """The calls of the last run that the kernel took, and those that it did not."""
    tally = override_of(model).tally
    return {**tally._taken, **tally._handed}


@pytest.fixture
def plain(model):
    """The latents with ComfyUI's own attention."""
    return sample(model)


def test_it_samples_what_comfyuis_own_attention_samples(model, plain):
    latents = sample(with_kernel(model))
    assert cosine(latents, plain) > 0.999999
    assert (latents - plain).norm() / plain.norm() < 1e-3


def test_twice_the_same_bits(model):
    clone = with_kernel(model)
    assert torch.equal(sample(clone), sample(clone))
    assert torch.equal(sample(with_kernel(model)), sample(clone))


def test_every_attention_of_a_text_to_video_model_goes_through_it(model):
    clone = with_kernel(model)
    sample(clone, steps=3, cfg=1.0)
    assert counted(clone) == {NAME: 3 * 2 * 2}  # steps, blocks, self- and cross-attention


def test_the_image_to_video_models_attention_of_the_image_too(models):
    model = with_kernel(pipeline.load_dit("wan_i2v_fp8.safetensors"))
    seen = [pipeline.conditioning(seed, image=True) for seed in (1, 2)]
    latents = pipeline.sample(model, *seen, steps=1, cfg=1.0)
    assert counted(model) == {NAME: 2 * 3}
    assert cosine(latents, pipeline.sample(pipeline.load_dit("wan_i2v_fp8.safetensors"), *seen, steps=1, cfg=1.0)) > 0.999999


def test_a_wrong_kernel_shows(model, plain, recorded, monkeypatch):
    """The comparisons above would notice q and k swapped, which have the same shape."""
    right = type(recorded).attend

    def swapped(self, call):
        return right(self, call._replace(q=call.k, k=call.q) if call.q.shape == call.k.shape else call)

    monkeypatch.setattr(type(recorded), "attend", swapped)
    latents = sample(with_kernel(model))
    assert (latents - plain).norm() / plain.norm() > 1e-2


def test_a_float_model_of_another_loader_takes_it(models, floats):
    import float_models

    model = float_models.load_dit(floats["dit"])
    plain, clone = sample(model), with_kernel(model)
    assert cosine(sample(clone), plain) > 0.999999
    assert sum(counted(clone).values()) == counted(clone)[NAME] > 0


def test_a_run_of_one_clone_is_not_counted_for_another(model, monkeypatch):
    texts = shown(monkeypatch)
    first, second = with_kernel(model), with_kernel(model)
    sample(first, steps=1, cfg=1.0)
    assert counted(second) == {}
    sample(model, steps=1, cfg=1.0)
    assert [text.splitlines()[-1] for text in texts[2:]] == [f"attention of the last run: {NAME} took 4 calls"]


def test_a_run_that_is_interrupted_is_counted_anew(model, monkeypatch):
    import comfy.model_management

    clone = with_kernel(model)
    with monkeypatch.context() as patched:
        patched.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", _interrupt)
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            sample(clone)
    sample(clone, steps=1, cfg=1.0)
    assert counted(clone) == {NAME: 4}


def _interrupt() -> None:
    import comfy.model_management

    raise comfy.model_management.InterruptProcessingException


@pytest.mark.parametrize("order", ["attention first", "offload first"])
def test_with_offloading_the_latents_are_the_same_bits(model, order, request):
    if request.config.getoption("--dynamic-vram"):
        pytest.skip("the node adds nothing to dynamic VRAM")
    expected = sample(with_kernel(model))
    steps = [with_kernel, offloading.offloaded]
    both = model
    for step in steps if order == "attention first" else reversed(steps):
        both = step(both)
    assert torch.equal(sample(both), expected)
    assert counted(both) == {NAME: 8}


@pytest.mark.parametrize("order", ["attention first", "LoRA first"])
def test_with_a_lora_the_latents_are_the_same_bits(model, order, tmp_path, add_folder, plain):
    add_folder("loras", tmp_path)
    save_file(small_loras.factors(small_loras.QUANTIZED), tmp_path / "style.safetensors")

    def lora(given):
        return LoRA.execute(given, "style.safetensors", 1.0, "beside").args[0]

    expected = sample(lora(with_kernel(model)))
    assert (expected - plain).norm() / plain.norm() > 1e-2
    steps = [with_kernel, lora]
    both = model
    for step in steps if order == "attention first" else reversed(steps):
        both = step(both)
    assert torch.equal(sample(both), expected)
    assert counted(both)[NAME] > 0


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_torch_compile_traces_through_it(model, plain, backend):
    """In one graph: nothing of the hook may break it."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    torch._dynamo.reset()
    clone = with_kernel(model)
    set_torch_compile_wrapper(clone, backend=backend, fullgraph=True)
    for _ in range(2):
        assert cosine(sample(clone), plain) > 0.99999
    assert counted(clone) == {}  # what is compiled is not counted


def test_torch_compile_does_not_compile_anew_for_every_call(model):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    torch._dynamo.reset()
    clone = with_kernel(model)
    set_torch_compile_wrapper(clone, backend="eager")
    sample(clone, steps=2, cfg=1.0)
    before = dict(torch._dynamo.utils.counters["stats"])
    sample(clone, steps=4, cfg=1.0)
    assert dict(torch._dynamo.utils.counters["stats"]) == before


def test_the_stock_compile_node_takes_it(model, plain):
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    torch._dynamo.reset()
    compiled = TorchCompileModel.execute(with_kernel(model), "inductor").args[0]
    assert override_of(compiled) is not None
    assert cosine(sample(compiled), plain) > 0.99999
