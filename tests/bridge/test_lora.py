"""The stock LoRA nodes on a quantized model."""

import comfy.model_management
import float_models
import folder_paths
import nodes
import pipeline
import pytest
import torch
from checks import cosine
from lightquant.bridge.linear import QuantizedLinear
from safetensors.torch import save_file
from small_models import Weights

NAME = "small_lora.safetensors"
LAYERS = {"self_attn.q": (256, 256), "self_attn.v": (256, 256), "cross_attn.k": (256, 256), "ffn.0": (512, 256), "ffn.2": (256, 512)}


@pytest.fixture(scope="module")
def lora(models, tmp_path_factory):
    """A LoRA that changes the latents by four fifths, as a distillation LoRA may, to stand out of the quantization noise that cfg amplifies."""
    folder, draw, tensors = tmp_path_factory.mktemp("loras"), Weights(9), {}
    for block in range(2):
        for layer, (outputs, inputs) in LAYERS.items():
            name = f"diffusion_model.blocks.{block}.{layer}"
            tensors[name + ".lora_A.weight"] = draw.normal(8, inputs, std=inputs**-0.5)
            tensors[name + ".lora_B.weight"] = draw.normal(outputs, 8, std=1.0)
    save_file(tensors, folder / NAME)
    folder_paths.add_model_folder_path("loras", str(folder), is_default=True)
    return NAME


def sample(model) -> torch.Tensor:
    return pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2), steps=2)



@pytest.fixture(scope="module")
def float_difference(lora, floats):
    with torch.inference_mode():
        model = float_models.load_dit(floats["dit"])
        return sample(nodes.LoraLoaderModelOnly().load_lora_model_only(model, lora, 1.0)[0]).cpu() - sample(model).cpu()


def bypass(model, lora: str):
    from comfy_extras.nodes_lora_debug import LoraLoaderBypassModelOnly

    node = LoraLoaderBypassModelOnly()
    return getattr(node, node.FUNCTION)(model, lora, 1.0)[0]


def low_vram_prediction(model) -> torch.Tensor:
    """One prediction with no weight resident, so that every patched layer is patched while it is used."""
    generator = torch.Generator().manual_seed(4)
    x, text = torch.randn(1, 16, 2, 8, 8, generator=generator), pipeline.conditioning(1)[0][0]
    device = comfy.model_management.get_torch_device()
    model.load(device, lowvram_model_memory=1)
    try:
        return model.model.apply_model(x.to(device), torch.tensor([0.7], device=device), c_crossattn=text.to(device)).cpu()
    finally:
        model.detach()


@pytest.mark.parametrize("tag", ["fp8", "int8"])
def test_bypass_adds_what_it_adds_to_the_float_model(models, lora, float_difference, tag):
    model = pipeline.load_dit(f"wan_t2v_{tag}.safetensors")
    plain = sample(model)
    difference = sample(bypass(model, lora)).cpu() - plain.cpu()
    assert cosine(difference, float_difference) > 0.99
    assert torch.equal(sample(model), plain)


@pytest.mark.parametrize("tag", ["fp8", "int8"])
def test_low_vram_patches_add_what_they_add_to_the_float_model(models, lora, floats, tag):
    predictions = []
    for model in (pipeline.load_dit(f"wan_t2v_{tag}.safetensors"), float_models.load_dit(floats["dit"])):
        if model.is_dynamic():
            pytest.skip("dynamic VRAM has no such mode; there the stock loader's test below is the one")
        (patched,) = nodes.LoraLoaderModelOnly().load_lora_model_only(model, lora, 1.0)
        predictions.append(low_vram_prediction(patched) - low_vram_prediction(model))
    assert cosine(*predictions) > 0.99


@pytest.mark.parametrize("tag", ["fp8", "int8"])
def test_baked_it_takes_effect_and_removing_it_restores_every_bit(models, lora, float_difference, tag):
    model = pipeline.load_dit(f"wan_t2v_{tag}.safetensors")
    weights = {key: tensor.clone() for key, tensor in model.model.state_dict().items() if key.endswith(("weight", "weight_scale"))}
    plain = sample(model)
    (patched,) = nodes.LoraLoaderModelOnly().load_lora_model_only(model, lora, 1.0)
    difference = sample(patched).cpu() - plain.cpu()
    similarity = cosine(difference, float_difference)
    print(f"{tag}, baked: cosine {similarity:.4f} with the float model's difference")
    assert similarity > 0.9
    assert torch.equal(sample(model), plain)
    patched.detach()
    comfy.model_management.unload_all_models()
    after = model.model.state_dict()
    assert all(torch.equal(after[key].float().cpu(), before.to(after[key].dtype).float().cpu()) for key, before in weights.items())


def test_a_lost_lora_would_show(models, lora, float_difference, monkeypatch):
    """The control of the tests above: with the LoRA lost in two of the five layers, or in all of them, they fail."""
    model = pipeline.load_dit("wan_t2v_fp8.safetensors")
    if model.is_dynamic():
        pytest.skip("dynamic VRAM does not bake through set_weight")
    plain, bake = sample(model), QuantizedLinear.set_weight
    for lost in ({256, 512}, {256}):

        def bake_some(self, *args, lost=lost, **more):
            return None if self.in_features in lost else bake(self, *args, **more)

        monkeypatch.setattr(QuantizedLinear, "set_weight", bake_some)
        (patched,) = nodes.LoraLoaderModelOnly().load_lora_model_only(model, lora, 1.0)
        assert not cosine(sample(patched).cpu() - plain.cpu(), float_difference) > 0.9
        comfy.model_management.unload_all_models()


def test_a_lora_hooked_to_one_conditioning_takes_effect_on_it_alone(models, lora, float_difference):
    """ComfyUI's hooks patch and unpatch weights between the conditionings of one step."""
    import comfy.hooks
    import comfy.utils

    model = pipeline.load_dit("wan_t2v_int8.safetensors")
    tensors = comfy.utils.load_torch_file(folder_paths.get_full_path_or_raise("loras", lora))
    hooks = comfy.hooks.create_hook_lora(lora=tensors, strength_model=1.0, strength_clip=0.0)
    positive, negative = pipeline.conditioning(1), pipeline.conditioning(2)
    plain = pipeline.sample(model, positive, negative)
    hooked = [[positive[0][0], {"hooks": hooks}]], [[negative[0][0], {"hooks": hooks}]]
    both = pipeline.sample(model, *hooked)
    one = pipeline.sample(model, hooked[0], negative)
    assert cosine(both.cpu() - plain.cpu(), float_difference) > 0.9
    assert not torch.equal(one, both)
    assert not torch.equal(one, plain)
    assert torch.equal(pipeline.sample(model, positive, negative), plain)
