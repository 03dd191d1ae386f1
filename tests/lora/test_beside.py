"""A LoRA beside quantized layers is the float model's LoRA: every format, every kind of change, chains and strengths."""

import float_models
import pytest
import small_loras
import torch
from checks import cosine
from lightquant.bridge.beside import Beside
from lightquant.formats import repacked
from lightquant.kernels import reference
from lightquant.kernels.reference import relative_error
from small_models import Weights

EIGHT_BITS = ("fp8-channel", "int8-channel", "fp8-b128")
FORMATS = (*EIGHT_BITS, "int4-g128")
EVERYTHING = {**small_loras.QUANTIZED, **small_loras.OUTSIDE}


@pytest.fixture(scope="module")
def truth(floats, predict):
    """The float model's prediction with LoRAs (tensors, strength) merged into its weights."""
    return lambda *loras: predict(float_models.load_dit(small_loras.merged(floats["dit"], *loras)))


def holder(model):
    """What a clone with LoRAs has had beside it since it was sampled."""
    (patcher,) = model.get_additional_models_with_key("lightquant_lora")
    return patcher.model


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_the_float_models_lora(stored, folder, predict, added, truth, name):
    lora = small_loras.factors(EVERYTHING, size=0.2, alpha=4.0)
    model = stored(name, missing_kernel="stop")
    plain, given = predict(model), predict(added(model, (small_loras.save(folder, "a.safetensors", lora), 1.0)))
    float_plain, expected = truth(), truth((lora, 1.0))
    # A random LoRA makes the network itself more or less sensitive to what rounding did before; each layer's error is held below.
    assert relative_error(given, expected) < 1.2 * relative_error(plain, float_plain)
    assert cosine(given - plain, expected - float_plain) > (0.99 if name in EIGHT_BITS else 0.95)
    assert torch.equal(predict(model), plain)


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 2e-5), ("bf16", 0.006)])
@pytest.mark.parametrize("name", FORMATS)
def test_every_layer_gives_its_quantized_product_and_all_of_the_lora(stored, folder, predict, added, checkpoint, name, dtype, tolerance):
    lora = small_loras.factors(small_loras.QUANTIZED, size=0.5)
    source, errors = checkpoint("dit", f"lora_{name}.safetensors"), {}
    model = added(stored(name, dtype=dtype), (small_loras.save(folder, "a.safetensors", lora), -0.7))

    def hook(layer: str):
        def compare(module, inputs, output) -> None:
            x = inputs[0].cpu()
            kernel = module.kernel_selection.kernel
            weight = repacked(name, source.weights[layer], kernel.packings)
            up, down = (lora[f"{small_loras.PREFIX}{layer}.lora_{part}.weight"] for part in ("up", "down"))
            bias = source.tensors[layer + ".bias"].to(module.weight.dtype)
            expected = reference.linear(kernel, x, weight, bias) - 0.7 * (x.float() @ down.T) @ up.T
            errors[layer] = max(errors.get(layer, 0.0), relative_error(output.cpu(), expected))

        return compare

    hooks = [model.model.diffusion_model.get_submodule(layer).register_forward_hook(hook(layer)) for layer in source.weights]
    predict(model)
    for each in hooks:
        each.remove()
    assert set(errors) == set(small_loras.QUANTIZED)
    assert max(errors.values()) < tolerance, errors


def test_differences_of_weights_biases_norms_modulations_and_float_layers(stored, folder, predict, added, truth):
    """One kind after the other, so that none can hide behind another."""
    model, everything = stored("int8-channel"), small_loras.differences()
    plain, float_plain = predict(model), truth()
    for key, tensor in everything.items():
        lora = {key: tensor}
        difference = predict(added(model, (small_loras.save(folder, "one.safetensors", lora), 1.0))) - plain
        expected = truth((lora, 1.0)) - float_plain
        assert cosine(difference, expected) > 0.98, key
    assert torch.equal(predict(model), plain)


def test_a_layer_may_have_factors_and_differences_at_once(stored, folder, predict, added, truth):
    """ComfyUI's own reader drops the factors there."""
    lora = small_loras.factors(small_loras.QUANTIZED) | small_loras.differences()
    model = stored("fp8-channel")
    difference = predict(added(model, (small_loras.save(folder, "both.safetensors", lora), 0.5))) - predict(model)
    assert cosine(difference, truth((lora, 0.5)) - truth()) > 0.99


def test_a_chain_adds_every_one_of_its_loras_in_one_product(stored, folder, predict, added, truth):
    first, second, third = (small_loras.factors(EVERYTHING, rank, 0.2, seed) for seed, rank in ((1, 4), (2, 8), (3, 16)))
    paths = [small_loras.save(folder, f"{number}.safetensors", lora) for number, lora in enumerate((first, second, third))]
    model = stored("int8-channel")
    chained = added(model, *zip(paths, (1.0, -0.5, 2.0), strict=True))
    expected = truth((first, 1.0), (second, -0.5), (third, 2.0)) - truth()
    assert cosine(predict(chained) - predict(model), expected) > 0.99
    assert {len(beside.down.weight) for beside in holder(chained).besides} == {4 + 8 + 16}


def test_ranks_too_high_to_pay_are_multiplied_out(stored, folder, predict, added, truth):
    lora = small_loras.factors({"blocks.0.self_attn.q": (256, 256)}, rank=200)
    model = added(stored("int8-channel"), (small_loras.save(folder, "high.safetensors", lora), 1.0))
    assert cosine(predict(model) - predict(stored("int8-channel")), truth((lora, 1.0)) - truth()) > 0.99
    (beside,) = holder(model).besides
    assert beside.down is None
    assert tuple(beside.dense.weight.shape) == (256, 256)


@pytest.mark.parametrize("mode", ["beside", "bake"])
def test_strength_zero_changes_no_bit_and_the_strength_is_linear(stored, folder, predict, added, mode):
    model, path = stored("fp8-channel"), small_loras.save(folder, "a.safetensors", small_loras.factors(EVERYTHING, size=0.01))
    plain = predict(model)
    assert torch.equal(predict(added(model, (path, 0.0), mode=mode)), plain)
    if mode == "beside":
        there, back = (predict(added(model, (path, strength))) - plain for strength in (1.0, -1.0))
        assert cosine(there, -back) > 0.99
        assert relative_error(predict(added(model, (path, 0.5), (path, 0.5))) - plain, there) < 0.01


@pytest.mark.parametrize("kind", ["loha", "lokr", "lokr_factored"])
def test_comfyuis_other_additive_adapters_run_beside(stored, folder, floats, predict, added, kind):
    import nodes

    draw, tensors = Weights(4), {}
    for layer, (outputs, inputs) in small_loras.QUANTIZED.items():
        parts = {
            "loha": {"hada_w1_a": (outputs, 4), "hada_w1_b": (4, inputs), "hada_w2_a": (outputs, 4), "hada_w2_b": (4, inputs)},
            "lokr": {"lokr_w1": (16, 16), "lokr_w2": (outputs // 16, inputs // 16)},
            "lokr_factored": {"lokr_w1": (16, 16), "lokr_w2_a": (outputs // 16, 4), "lokr_w2_b": (4, inputs // 16)},
        }[kind]
        tensors |= {f"{small_loras.PREFIX}{layer}.{part}": draw.normal(*shape, std=0.15) for part, shape in parts.items()}
        tensors[f"{small_loras.PREFIX}{layer}.alpha"] = torch.tensor(2.0)
    path, model, float_model = small_loras.save(folder, "other.safetensors", tensors), stored("int8-channel"), float_models.load_dit(floats["dit"])
    (patched,) = nodes.LoraLoaderModelOnly().load_lora_model_only(float_model, "other.safetensors", 0.8)
    expected = predict(patched) - predict(float_model)
    beside = added(model, (path, 0.8))
    assert not beside.patches
    assert expected.norm() > 0
    assert cosine(predict(beside) - predict(model), expected) > 0.98


def test_a_lost_lora_would_show(stored, folder, predict, added, truth, monkeypatch):
    """The control of the tests above: lost in some layers, or wholly, it is missed."""
    lora, model = small_loras.factors(EVERYTHING, size=0.5), stored("fp8-channel")
    beside, add = added(model, (small_loras.save(folder, "a.safetensors", lora), 1.0)), Beside.add
    plain, expected = predict(model), truth((lora, 1.0)) - truth()
    for lost in ({512}, {256}, {256, 512}):
        monkeypatch.setattr(Beside, "add", lambda self, x, y, lost=lost: y if x.shape[-1] in lost else add(self, x, y))
        assert not cosine(predict(beside) - plain, expected) > 0.99
