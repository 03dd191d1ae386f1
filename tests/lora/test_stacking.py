"""LoRAs beside a model together with everything else that ComfyUI hangs on one: nothing twice, nothing lost, nothing left behind."""

import gc

import comfy.hooks
import comfy.model_management
import comfy.utils
import float_models
import nodes
import pipeline
import pytest
import small_loras
import torch
from checks import cosine
from lightquant.bridge.beside import Beside
from lightquant.bridge.linear import QuantizedLinear

FORMAT = "int8-channel"


def tensors_of_ours() -> dict[str, torch.Tensor]:
    return small_loras.factors(small_loras.QUANTIZED, size=0.3, seed=1) | small_loras.differences()


def tensors_of_stock() -> dict[str, torch.Tensor]:
    return small_loras.factors(small_loras.QUANTIZED, size=0.3, seed=2)


@pytest.fixture
def ours(folder):
    return small_loras.save(folder, "ours.safetensors", tensors_of_ours())


@pytest.fixture
def stock(folder):
    small_loras.save(folder, "stock.safetensors", tensors_of_stock())
    return "stock.safetensors"


def load_lora(model, name: str):
    return nodes.LoraLoaderModelOnly().load_lora_model_only(model, name, 1.0)[0]


def load_lora_bypass(model, name: str):
    from comfy_extras.nodes_lora_debug import LoraLoaderBypassModelOnly

    node = LoraLoaderBypassModelOnly()
    return getattr(node, node.FUNCTION)(model, name, 1.0)[0]


@pytest.fixture
def both(floats, predict):
    """What the two LoRAs add to the float model's prediction, together."""
    merged = small_loras.merged(floats["dit"], (tensors_of_ours(), 1.0), (tensors_of_stock(), 1.0))
    return predict(float_models.load_dit(merged)) - predict(float_models.load_dit(floats["dit"]))


def nothing_left(model) -> bool:
    layers = [layer for layer in model.model.modules() if isinstance(layer, QuantizedLinear)]
    return all(layer.beside == () and layer.forward.__func__ is QuantizedLinear.forward for layer in layers)


@pytest.mark.parametrize("load", [load_lora, load_lora_bypass])
@pytest.mark.parametrize("ours_first", [True, False])
def test_with_the_stock_loaders(stored, ours, stock, predict, added, both, load, ours_first):
    model = stored(FORMAT)
    plain = predict(model)
    if ours_first:
        alone = added(model, (ours, 1.0))
        predict(alone)  # so that the second node gets a model that is loaded with the first one's LoRA
        stacked = load(alone, stock)
    else:
        alone = load(model, stock)
        predict(alone)
        stacked = added(alone, (ours, 1.0))
    assert cosine(predict(stacked) - plain, both) > (0.99 if load is load_lora_bypass else 0.98)
    assert not cosine(predict(alone) - plain, both) > 0.97
    assert torch.equal(predict(model), plain)
    comfy.model_management.unload_all_models()
    assert nothing_left(model)


def test_two_branches_of_one_loader_have_a_lora_each(stored, folder, floats, predict, added):
    first, second = (small_loras.factors(small_loras.QUANTIZED, size=0.3, seed=seed) for seed in (1, 2))
    model = stored(FORMAT)
    left, right = (added(model, (small_loras.save(folder, f"{name}.safetensors", lora), 1.0)) for name, lora in (("left", first), ("right", second)))
    plain, float_plain = predict(model), predict(float_models.load_dit(floats["dit"]))
    seen = [predict(each) for each in (left, right, left, model, right)]
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[4])
    assert torch.equal(seen[3], plain)
    for prediction, lora in zip(seen, (first, second), strict=False):
        assert cosine(prediction - plain, predict(float_models.load_dit(small_loras.merged(floats["dit"], (lora, 1.0)))) - float_plain) > 0.99


def test_a_clone_of_a_clone_keeps_it_and_the_first_ones_end_takes_nothing(stored, ours, predict, added):
    model = stored(FORMAT)
    first = added(model, (ours, 1.0))
    expected = predict(first)
    second = first.clone()
    second.model_options["transformer_options"]["of this clone"] = True
    del first
    gc.collect()
    assert torch.equal(predict(second), expected)
    assert torch.equal(predict(second.clone()), expected)


def test_a_change_of_strength_moves_no_weight(stored, folder, predict, added, monkeypatch):
    """Without patches ComfyUI has no reason to take the weights off the device and put them back."""
    path = small_loras.save(folder, "only_factors.safetensors", small_loras.factors(small_loras.QUANTIZED, size=0.3))
    model, moved = stored(FORMAT), []
    predict(added(model, (path, 1.0)))
    monkeypatch.setattr(QuantizedLinear, "_apply", lambda self, *_: moved.append(self) or self)
    one, other = predict(added(model, (path, 0.5))), predict(added(model, (path, 0.25)))
    assert not moved
    assert not torch.equal(one, other)


@pytest.mark.parametrize("problem", [RuntimeError("out of memory"), comfy.model_management.InterruptProcessingException()])
def test_what_stops_sampling_leaves_nothing_behind(stored, ours, predict, added, monkeypatch, problem):
    model = stored(FORMAT)
    plain, with_lora = predict(model), added(model, (ours, 1.0))
    expected, add, calls = predict(with_lora), Beside.add, []

    def stop(self, x, y):
        calls.append(self)
        if len(calls) == 7:
            raise problem
        return add(self, x, y)

    monkeypatch.setattr(Beside, "add", stop)
    with pytest.raises(type(problem)):
        predict(with_lora)
    assert nothing_left(model)
    assert torch.equal(predict(model), plain)
    monkeypatch.setattr(Beside, "add", add)
    assert torch.equal(predict(with_lora), expected)


def test_an_error_while_the_model_loads_leaves_nothing_behind(stored, ours, predict, added, monkeypatch):
    model = stored(FORMAT)
    plain, with_lora = predict(model), added(model, (ours, 1.0))

    def fail(*_, **__):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "load", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            predict(with_lora)
    assert nothing_left(model)
    assert torch.equal(predict(model), plain)


def test_removed_every_weight_is_as_before(stored, ours, predict, added):
    model = stored(FORMAT)
    before = {key: tensor.clone() for key, tensor in model.model.state_dict().items()}
    for mode in ("beside", "bake"):
        predict(added(model, (ours, 1.0), mode=mode))
        comfy.model_management.unload_all_models()
        gc.collect()
        after = model.model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(after[key].float().cpu(), tensor.float().cpu()) for key, tensor in before.items())


def test_its_factors_are_loaded_and_unloaded_like_a_model(stored, ours, predict, added):
    model = added(stored(FORMAT), (ours, 1.0))
    predict(model)
    (holder,) = model.get_additional_models_with_key("lightquant_lora")
    assert holder in comfy.model_management.loaded_models()
    assert holder.model_size() == sum(tensor.nbytes for tensor in holder.model.parameters())
    comfy.model_management.unload_all_models()
    assert holder not in comfy.model_management.loaded_models()
    assert {tensor.device.type for tensor in holder.model.parameters()} == {"cpu"}


@pytest.mark.parametrize("holder_too", [False, True])
def test_with_weights_that_are_streamed(stored, ours, added, predict, device, holder_too):
    """One prediction with no weight resident, as --lowvram has it; the quantized layers still run their kernel."""
    model = stored(FORMAT)
    if model.is_dynamic():
        pytest.skip("dynamic VRAM has no such mode")
    with_lora = added(model, (ours, 1.0))
    expected = predict(with_lora)
    comfy.model_management.unload_all_models()
    generator = torch.Generator().manual_seed(4)
    x, text = torch.randn(1, 16, 2, 8, 8, generator=generator).to(device), pipeline.conditioning(1)[0][0].to(device)

    def prediction(budget: int) -> torch.Tensor:
        (holder,) = with_lora.get_additional_models_with_key("lightquant_lora")
        for each in (with_lora, *([holder] if holder_too else [])):
            each.load(device, lowvram_model_memory=budget)
        try:
            options = {"wrappers": with_lora.wrappers}
            return model.model.apply_model(x, torch.tensor([0.7], device=device), c_crossattn=text, transformer_options=options).cpu()
        finally:
            holder.detach()
            with_lora.detach()

    assert torch.equal(prediction(1), prediction(10**12))
    assert torch.equal(predict(with_lora), expected)


def test_under_a_hooked_lora(stored, ours, stock, predict, added, both):
    import folder_paths

    model = stored(FORMAT)
    tensors = comfy.utils.load_torch_file(folder_paths.get_full_path_or_raise("loras", stock))
    hooks = comfy.hooks.create_hook_lora(lora=tensors, strength_model=1.0, strength_clip=0.0)
    plain, with_lora = predict(model), added(model, (ours, 1.0))
    hooked = [[[pipeline.conditioning(seed)[0][0], {"hooks": hooks}]] for seed in (1, 2)]
    given = pipeline.sample(with_lora, *hooked, steps=1, cfg=1.0).cpu()
    assert cosine(given - plain, both) > 0.97
    assert torch.equal(predict(model), plain)


@pytest.mark.parametrize("lora_first", [True, False])
def test_compiled(stored, folder, predict, added, lora_first):
    """A block by the stock node's means; LightQuant's code breaks no graph, and further steps compile nothing anew."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    def compiled(model):
        clone = model.clone(disable_dynamic=True)
        set_torch_compile_wrapper(clone, backend="aot_eager", keys=["diffusion_model.blocks.0"])
        return clone

    def graphs() -> tuple[int, int]:
        counters = torch._dynamo.utils.counters
        return counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())

    model, counted = stored(FORMAT), []
    modulations = {f"{small_loras.PREFIX}blocks.{block}.modulation.diff": torch.full((1, 6, 256), 0.1) for block in range(2)}
    ours = small_loras.save(folder, "alike.safetensors", small_loras.factors(small_loras.QUANTIZED) | modulations)
    expected = predict(added(model, (ours, 1.0)))
    for make in (lambda: compiled(model), lambda: compiled(added(model, (ours, 1.0))) if lora_first else added(compiled(model), (ours, 1.0))):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        clone = make()
        given = predict(clone)
        counted.append(graphs())
    assert counted[0] == counted[1]
    assert cosine(given, expected) > 0.9999
    predict(clone)
    assert graphs() == counted[1]
