"""A clone with settings in ComfyUI: errors, other models, other branches, LoRA, hooks, copies; and that nothing stays."""

import comfy.hooks
import comfy.model_management
import pipeline
import pytest
import torch
from checks import cosine
from lightquant.bridge.linear import QuantizedLinear
from lightquant.offload.curtain import Curtain
from lightquant.offload.hosts import Hosts
from lightquant.offload.stream import Stream
from offloading import lenders, offloaded, sample


def is_pristine(model) -> bool:
    """Whether nothing of offloading is left on the modules."""
    return not lenders(model) and not any(isinstance(module, Curtain) for module in model.model.modules())


def fail_once_at(monkeypatch, turn: int, error: BaseException) -> None:
    """Raise when this many units have taken their turns, once."""
    turns, turn_to = [0], Stream._turn_to

    def turned(stream, unit):
        turns[0] += 1
        if turns[0] == turn:
            raise error
        turn_to(stream, unit)

    monkeypatch.setattr(Stream, "_turn_to", turned)


@pytest.mark.parametrize("turn", [1, 2, 4])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out of memory"), comfy.model_management.InterruptProcessingException()], ids=["oom", "stop"]
)
def test_a_step_that_ends_by_an_error_leaves_nothing_and_the_next_run_is_right(model, plain, lane, pins, monkeypatch, turn, error):
    clone = offloaded(model)
    fail_once_at(monkeypatch, turn, error)
    with pytest.raises(type(error)):
        sample(clone)
    assert is_pristine(model)
    assert torch.equal(sample(model), plain)
    assert torch.equal(sample(clone), plain)
    comfy.model_management.unload_all_models()
    assert not pins


def test_it_can_be_interrupted_in_the_middle_of_a_step(model, plain):
    clone, calls = offloaded(model), []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 5:
            comfy.model_management.interrupt_current_processing()

    handles = [module.register_forward_hook(interrupt) for module in model.model.modules() if isinstance(module, QuantizedLinear)]
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sample(clone)
    for handle in handles:
        handle.remove()
    assert len(calls) == 5
    assert torch.equal(sample(clone), plain)


def test_many_runs_in_a_row_hold_no_more_than_one(model, plain, pins):
    clone = offloaded(model, keep=0.5)
    sample(clone)
    held = list(pins)
    assert held
    for _ in range(10):
        assert torch.equal(sample(clone), plain)
        assert pins == held
    comfy.model_management.unload_all_models()
    assert not pins


def test_two_branches_of_a_loader_do_not_disturb_each_other(model, plain, lane):
    first, second = offloaded(model, keep=0.5, granularity="phase"), offloaded(model, chunk_rows=8)
    for each in (first, model, second, first, second, model):
        assert torch.equal(sample(each), plain)
        assert is_pristine(model)


def test_a_second_node_replaces_the_first(model, plain):
    first = offloaded(model, granularity="phase")
    second = offloaded(first, granularity="model")
    assert not any(isinstance(patch, Curtain) for patch in second.object_patches.values())
    assert any(isinstance(patch, Curtain) for patch in first.object_patches.values())
    assert second.model_size() == model.model_size() > first.model_size()
    assert torch.equal(sample(second), plain)
    assert torch.equal(sample(offloaded(second)), plain)


def test_another_model_gets_the_kept_blocks_memory(model, plain):
    clone = offloaded(model, keep=0.5)
    sample(clone)
    loaded = clone.loaded_size()
    assert clone.partially_unload(clone.offload_device, loaded // 2) >= loaded // 2
    assert clone.loaded_size() <= loaded // 2
    assert torch.equal(sample(clone), plain)
    comfy.model_management.unload_all_models()
    assert clone.loaded_size() == 0
    assert torch.equal(sample(clone), plain)


def test_comfyui_finds_room_for_the_buffers_before_every_run(model):
    clone = offloaded(model, granularity="phase")
    for _ in range(2):
        sample(clone)
        (loaded,) = comfy.model_management.current_loaded_models
        assert 0 < loaded.model_memory_required(clone.load_device) == clone.model_size() - clone.loaded_size()
    assert clone.loaded_size() < clone.model_size() < model.model_size()


def test_another_model_in_between(model, models, plain):
    clone = offloaded(model)
    sample(clone)
    other = pipeline.load_dit("wan_t2v_int8.safetensors")
    expected = sample(other)
    assert torch.equal(sample(clone), plain)
    assert torch.equal(sample(offloaded(other)), expected)


def test_clones_made_behind_the_node_run_the_same(model, plain, lane):
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    clone = offloaded(model).clone().clone()
    assert torch.equal(sample(clone), plain)
    (shifted,) = ModelSamplingSD3().patch(model, 5.0)
    (ours,) = ModelSamplingSD3().patch(offloaded(model), 5.0)
    assert torch.equal(sample(ours), sample(shifted))


def low_vram_sample(model) -> torch.Tensor:
    """With no layer resident, so that ComfyUI patches every one while it is used."""
    load = model.load
    model.load = lambda device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False: load(device_to, 1, force_patch_weights)
    try:
        return sample(model)
    finally:
        del model.load


def patched(model):
    """A clone with changes to weights and a bias of streamed layers."""
    clone, generator = model.clone(), torch.Generator().manual_seed(0)
    shapes = {"blocks.0.ffn.0.weight": (512, 256), "blocks.1.self_attn.q.weight": (256, 256), "blocks.1.ffn.2.bias": (256,)}
    changes = {f"diffusion_model.{key}": ("diff", (torch.randn(shape, generator=generator) * 0.05,)) for key, shape in shapes.items()}
    assert len(clone.add_patches(changes)) == 3
    return clone


@pytest.mark.parametrize("order", ["patches behind the node", "node behind the patches"])
def test_patches_are_added_as_comfyui_adds_them_to_what_is_not_resident(model, plain, lane, order):
    expected = low_vram_sample(patched(model))
    comfy.model_management.unload_all_models()
    clone = patched(offloaded(model)) if order == "patches behind the node" else offloaded(patched(model))
    for _ in range(2):
        assert torch.equal(sample(clone), expected)
    assert cosine(expected, plain) < 0.999
    assert torch.equal(sample(model), plain)


def test_patches_fit_though_the_model_is_loaded(model, plain):
    clone = offloaded(model)
    sample(clone)
    assert not torch.equal(sample(patched(clone)), plain)
    assert torch.equal(sample(clone), plain)


def test_hooks_change_streamed_weights_for_their_conditioning_alone(model, lane, pins):
    def conditioned(patcher) -> torch.Tensor:
        hook = comfy.hooks.WeightHook(strength_model=1.0, strength_clip=1.0)
        hook.weights = {"diffusion_model.blocks.0.ffn.0.weight": ("diff", (torch.randn(512, 256, generator=torch.Generator().manual_seed(1)) * 0.1,))}
        hook.need_weight_init = False
        hooks = comfy.hooks.HookGroup()
        hooks.add(hook)
        text, extra = pipeline.conditioning(1)[0]
        return pipeline.sample(patcher, [[text, extra | {"hooks": hooks}]], pipeline.conditioning(2))

    before = sample(model)
    clone = offloaded(model)
    sample(clone)
    hooked = conditioned(clone)
    assert cosine(hooked, before) < 0.9999
    assert cosine(hooked, conditioned(model)) > 0.9999
    assert torch.equal(sample(clone), before)


def test_the_bypass_lora_node_works(model, plain):
    from comfy.weight_adapter import LoRAAdapter
    from comfy.weight_adapter.bypass import BypassInjectionManager

    generator = torch.Generator().manual_seed(3)
    up, down = torch.randn(256, 4, generator=generator), torch.randn(4, 256, generator=generator) * 0.1
    results = []
    for each in (model, offloaded(model)):
        clone, manager = each.clone(), BypassInjectionManager()
        manager.add_adapter("diffusion_model.blocks.0.self_attn.q", LoRAAdapter(set(), (up, down, 4.0, None, None, None)), strength=1.0)
        clone.set_injections("bypass", manager.create_injections(clone.model))
        results.append(sample(clone))
    assert torch.equal(*results)
    assert not torch.equal(results[0], plain)


def test_torch_compile_breaks_its_graph_at_streamed_layers_and_is_right(model, plain):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    torch._dynamo.reset()
    clone = offloaded(model)
    set_torch_compile_wrapper(clone, backend="eager")
    assert cosine(sample(clone), plain) > 0.99999
    assert is_pristine(model)


def test_a_copy_of_the_model_streams_its_own_layers(model, plain):
    clone = offloaded(model)
    copy = clone.clone(model_override=model.cached_patcher_init[0](*model.cached_patcher_init[1]).get_clone_model_override())
    assert copy.model is not model.model
    own = set(copy.model.modules())
    assert all(patch._behind[0] in own for patch in copy.object_patches.values())
    assert torch.equal(sample(copy), plain)


def test_nothing_of_an_unloaded_model_stays(models, pins):
    import gc
    import weakref

    model = offloaded(pipeline.load_dit("wan_t2v_fp8.safetensors"))
    sample(model)
    module = weakref.ref(model.model)
    comfy.model_management.unload_all_models()
    del model
    gc.collect()
    comfy.model_management.cleanup_models()
    gc.collect()
    assert module() is None
    assert not pins


def test_from_disk_no_copy_of_what_is_streamed_is_held(model, plain, pins, monkeypatch):
    sizes, fill = [], Hosts.fill
    monkeypatch.setattr(Hosts, "fill", lambda hosts, *args: (fill(hosts, *args), sizes.append(hosts.copied_bytes))[0])
    assert torch.equal(sample(offloaded(model, from_disk=True)), plain)
    assert set(sizes) == {0}


class Vbar:
    """What ComfyUI's dynamic VRAM has for a model, seen from outside: what comfy-aimdo 0.2.7 and 0.4.11 do, read from their machine code."""

    max_size = 10**12

    def __init__(self):
        self.floor, self.watermark = 0, self.max_size

    def set_watermark_limit(self, size):
        self.floor = size

    def loaded_size(self):
        return 0

    def free_memory(self, size):
        self.watermark = max(self.floor, self.watermark - size)


@pytest.fixture
def dynamic(model, monkeypatch):
    """The model as one that ComfyUI's dynamic VRAM serves, which needs a GPU; and what the node asks of it."""
    vbar = Vbar()
    monkeypatch.setattr(type(model), "is_dynamic", lambda patcher: True)
    model.model.dynamic_vbars = {model.load_device: vbar}
    yield model, vbar
    del model.model.dynamic_vbars


def test_dynamic_vram_is_limited_when_the_model_is_loaded_and_nothing_is_added(dynamic, monkeypatch):
    model, vbar = dynamic
    clone = offloaded(model, keep=0.5)
    assert not any(isinstance(patch, Curtain) for patch in clone.object_patches.values())
    assert vbar.watermark == Vbar.max_size
    monkeypatch.setattr(type(model), "is_dynamic", lambda patcher: False)  # the rest of ComfyUI has no dynamic VRAM here
    sample(clone)
    assert model.model_size() // 4 < vbar.watermark < model.model_size()
    assert vbar.floor == 0
    vbar.watermark = Vbar.max_size  # as every load sets it
    sample(model)
    assert vbar.watermark == Vbar.max_size


def test_any_model_can_be_steered_under_dynamic_vram(dynamic, floats):
    import float_models

    model = float_models.load_dit(floats["dit"])
    vbar = model.model.dynamic_vbars = {model.load_device: Vbar()}
    clone = offloaded(model, vram=0.001)
    comfy.model_management.load_models_gpu([clone])
    assert vbar[model.load_device].watermark == int(0.001 * 2**30)
