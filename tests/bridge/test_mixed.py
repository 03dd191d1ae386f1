"""Files whose layers have several formats: what they are said to be, and that they run, offload, take LoRAs, compile and save as others do."""

import os

import comfy.model_management
import float_models
import folder_paths
import nodes
import pipeline
import pytest
import small_models
import torch
from checks import cosine, watching
from comfy.quant_ops import QuantizedTensor
from lightquant.bridge.layouts import format_in, stored, wrap
from lightquant.bridge.linear import QuantizedLinear
from lightquant.bridge.load import summary
from lightquant.bridge.record import record_of
from lightquant.bridge.saving import Target, save
from lightquant.errors import ConvertError, SchemeError
from lightquant.formats import FORMATS, INT4_G128, INT4_MARLIN, QuantizedWeight, mixture, stored_as
from lightquant.kernels.reference import relative_error
from small_models import of_all_formats

POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)
FILE, ALL = "mixed.safetensors", " + ".join(FORMATS)
SMALLEST_COSINE = 0.9
"""That of int4, which some layers have."""


@pytest.fixture
def folder(models, floats, tmp_path, add_folder):
    """mixed.safetensors, a DiT of all formats, in a folder of this test's own for every component."""
    for kind in ("diffusion_models", "text_encoders", "clip_vision"):
        add_folder(kind, tmp_path)
    small_models.save(small_models.mixed(floats["dit"], "dit", of_all_formats), tmp_path / FILE)
    return tmp_path


def sample(model, **options) -> torch.Tensor:
    return pipeline.sample(model, POSITIVE, NEGATIVE, **options)


def layers_by_format(checkpoint) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, weight in checkpoint.weights.items():
        found.setdefault(stored_as(weight).name, []).append(name)
    return found


def test_every_layer_is_multiplied_by_its_formats_kernel(folder, floats, checkpoint):
    source = checkpoint("dit", FILE)
    assert {name: len(layers) for name, layers in layers_by_format(source).items()} == {
        "fp8-channel": 6, "int8-channel": 6, "fp8-b128": 4, "int4-g128": 2,
    }  # fmt: skip
    assert "blocks.1.self_attn.o.weight" in source.tensors
    model = pipeline.load_dit(FILE)
    with watching(model.model.diffusion_model, source) as watch:
        latents = sample(model)
    watch.check(source.weights)
    for name, layers in layers_by_format(source).items():
        assert {model.model.diffusion_model.get_submodule(layer).kernel_selection.kernel.format for layer in layers} == {name}
    assert cosine(latents, sample(float_models.load_dit(floats["dit"]))) > SMALLEST_COSINE
    assert torch.equal(sample(model), latents)


def test_the_encoders(folder, floats, checkpoint, spiece):
    small_models.save(small_models.mixed(floats["t5"], "t5", of_all_formats), folder / "t5_mixed.pth")
    small_models.save(small_models.mixed(floats["clip"], "clip", of_all_formats), folder / "clip_mixed.pth")
    clip, vision = pipeline.load_t5("t5_mixed.pth"), pipeline.load_clip("clip_mixed.pth")
    assert len(checkpoint("t5", "t5_mixed.pth").formats) == 4
    assert checkpoint("clip", "clip_mixed.pth").formats == ("fp8-channel", "int8-channel", "fp8-b128")
    with watching(clip.cond_stage_model.umt5xxl.transformer, checkpoint("t5", "t5_mixed.pth")) as watch:
        (given,) = nodes.CLIPTextEncode().encode(clip, "a cat walks over the roof")
    watch.check(checkpoint("t5", "t5_mixed.pth").weights)
    (expected,) = nodes.CLIPTextEncode().encode(float_models.load_t5(floats["t5"], spiece), "a cat walks over the roof")
    assert cosine(given[0][0], expected[0][0]) > SMALLEST_COSINE
    image = torch.rand(1, 96, 64, 3, generator=torch.Generator().manual_seed(3))
    with watching(vision.model, checkpoint("clip", "clip_mixed.pth")) as watch:
        seen = vision.encode_image(image)
    watch.check(checkpoint("clip", "clip_mixed.pth").weights)
    expected = float_models.load_clip(floats["clip"]).encode_image(image)
    assert cosine(seen["penultimate_hidden_states"], expected["penultimate_hidden_states"]) > SMALLEST_COSINE


def test_every_form_of_storage_is_the_same_model(folder, floats):
    """One file, by block, in chunks, under prefixes, and with int4 in Marlin's packing: bit for bit the same latents."""
    tensors = small_models.mixed(floats["dit"], "dit", of_all_formats)
    small_models.save_split(tensors, folder / "mixed_split")
    small_models.save_chunked(tensors, folder / "mixed_chunked", size=13)
    small_models.save({f"model.diffusion_model.{key}": tensor for key, tensor in tensors.items()}, folder / "prefixed.safetensors")
    small_models.save(_in_marlins_packing(tensors), folder / "marlin.safetensors")
    expected = sample(pipeline.load_dit(FILE))
    for name in ("mixed_split", "mixed_chunked", "prefixed.safetensors", "marlin.safetensors"):
        model = pipeline.load_dit(name)
        assert record_of(model).format == ALL
        assert torch.equal(sample(model), expected), name


def test_layers_that_comfyui_could_express_may_have_its_tags(folder, floats, checkpoint):
    """fp8 with one scale a tensor and int8 with one a row, tagged, beside int4, which ComfyUI has no tag for."""
    tagged = {name: small_models.core_tagged(floats["dit"], "dit", name) for name in ("fp8-channel", "int8-channel")}
    tensors = {}
    for key, tensor in small_models.mixed(floats["dit"], "dit", of_all_formats).items():
        layer = key.rsplit(".", 1)[0]
        own = tagged.get(of_all_formats(layer + ".weight")) if f"{layer}.weight_scale" in tagged["int8-channel"] else None
        tensors |= {key: tensor} if own is None else {name: own[name] for name in own if name.startswith(layer + ".")}
    assert sum(key.endswith(".comfy_quant") for key in tensors) == 12
    small_models.save(tensors, folder / "tagged.safetensors")
    source, model = checkpoint("dit", "tagged.safetensors"), pipeline.load_dit("tagged.safetensors")
    assert source.format == ALL
    with watching(model.model.diffusion_model, source) as watch:
        sample(model)
    watch.check(source.weights)


def test_the_record_and_the_text_say_what_runs_for_each_format(folder, checkpoint):
    record = record_of(pipeline.load_dit(FILE, scheme="int8-torch", missing_kernel="stop"))
    assert record.format == ALL == checkpoint("dit", FILE).format
    assert {use.format: (use.layers, use.kernel) for use in record.kernels} == {
        "fp8-channel": (6, "fp8-torch"), "int8-channel": (6, "int8-torch"), "fp8-b128": (4, "fp8-b128-torch"), "int4-g128": (2, "int4-g128-torch"),
    }  # fmt: skip
    assert record.kernel == "fp8-torch + int8-torch + fp8-b128-torch + int4-g128-torch"
    whys = {use.format: use.why for use in record.kernels}
    assert not whys["int8-channel"].startswith("auto: ")
    assert all(why.startswith("auto: ") for name, why in whys.items() if name != "int8-channel")
    text = summary(record)
    assert f"{ALL}, " in text
    assert f"why int4-g128-torch for the 2 layers of int4-g128: {whys['int4-g128']}" in text
    assert all(f"{name}: {why}" in record.why for name, why in whys.items())


def test_a_scheme_covers_its_format_and_must_find_it(folder, floats):
    record = record_of(pipeline.load_dit(FILE, scheme="fp8-sgl"))
    whys = {use.format: use.why for use in record.kernels}
    assert "fp8-sgl can't run here" in whys["fp8-channel"]
    assert not any("fp8-sgl" in why for name, why in whys.items() if name != "fp8-channel")
    two = small_models.mixed(floats["dit"], "dit", lambda key: "int4-g128" if "ffn" in key else "fp8-b128")
    small_models.save(two, folder / "two.safetensors")
    with pytest.raises(
        SchemeError, match=r"two\.safetensors is stored as fp8-b128 \+ int4-g128, but the scheme int8-torch reads int8-channel"
    ) as caught:
        pipeline.load_dit("two.safetensors", scheme="int8-torch")
    assert "fp8-b128-torch" in str(caught.value)
    assert "int4-g128-marlin" in str(caught.value)
    assert "fp8-sgl" not in str(caught.value)


def test_its_size_is_that_of_what_is_stored(folder, checkpoint):
    model, source = pipeline.load_dit(FILE, dtype="fp32"), checkpoint("dit", FILE)
    expected = sum(part.nbytes for weight in source.weights.values() for part in weight) + sum(each.nbytes for each in source.tensors.values())
    assert model.model_size() == pytest.approx(expected, rel=0.01)
    assert record_of(model).weight_bytes == pytest.approx(expected, rel=0.01)


LAYERS = ("self_attn.q", "self_attn.k", "cross_attn.v", "self_attn.o", "ffn.0", "ffn.2")
"""One of each format, and `o`, which is int4 in the first block and float in the second."""


@pytest.fixture
def lora(folder, floats, tmp_path_factory):
    """A LoRA on layers of every format and on float ones."""
    from safetensors.torch import save_file

    place, draw, tensors = tmp_path_factory.mktemp("loras"), small_models.Weights(9), {}
    for block in range(2):
        for layer in LAYERS:
            name = f"blocks.{block}.{layer}"
            outputs, inputs = floats["dit"][name + ".weight"].shape
            tensors[f"diffusion_model.{name}.lora_A.weight"] = draw.normal(8, inputs, std=inputs**-0.5)
            tensors[f"diffusion_model.{name}.lora_B.weight"] = draw.normal(outputs, 8)
    save_file(tensors, place / "mixed_lora.safetensors")
    folder_paths.add_model_folder_path("loras", str(place), is_default=True)
    return "mixed_lora.safetensors"


def with_lora(model, lora: str):
    return nodes.LoraLoaderModelOnly().load_lora_model_only(model, lora, 1.0)[0]


def difference(model, patched) -> torch.Tensor:
    return sample(patched).cpu() - sample(model).cpu()


def test_a_lora_is_baked_into_every_format_and_comes_off_bit_for_bit(lora, floats, monkeypatch):
    model, whole = pipeline.load_dit(FILE), float_models.load_dit(floats["dit"])
    module = model.model.diffusion_model
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    plain, patched = sample(model), with_lora(model, lora)
    expected = difference(whole, with_lora(whole, lora))
    assert cosine(sample(patched).cpu() - plain.cpu(), expected) > SMALLEST_COSINE
    baked = [stored_as(stored(module.get_submodule(f"blocks.0.{layer}").weight)).name for layer in LAYERS]
    assert baked == ["fp8-channel", "int8-channel", "fp8-b128", "int4-g128", "fp8-channel", "int8-channel"]
    assert torch.equal(sample(model), plain)
    comfy.model_management.unload_all_models()
    after = module.state_dict()
    assert all(torch.equal(after[key].cpu(), each.to(after[key].dtype).cpu()) for key, each in before.items())
    # The control: lost in the layers of int8 and int4 it would show.
    bake = QuantizedLinear.set_weight

    def bake_some(self, *args, **more):
        is_lost = isinstance(self.weight, QuantizedTensor) and format_in(self.weight).name in ("int8-channel", "int4-g128")
        return None if is_lost else bake(self, *args, **more)

    if not model.is_dynamic():
        monkeypatch.setattr(QuantizedLinear, "set_weight", bake_some)
        assert not cosine(sample(with_lora(model, lora)).cpu() - plain.cpu(), expected) > SMALLEST_COSINE


def test_a_bypassed_lora_adds_what_it_adds_to_the_float_model(lora, floats):
    from comfy_extras.nodes_lora_debug import LoraLoaderBypassModelOnly

    node = LoraLoaderBypassModelOnly()
    whole, model = float_models.load_dit(floats["dit"]), pipeline.load_dit(FILE)
    differences = [difference(each, getattr(node, node.FUNCTION)(each, lora, 1.0)[0]) for each in (whole, model)]
    assert cosine(*differences) > 0.98


def predict(model, low_vram: bool) -> torch.Tensor:
    """One prediction, with no weight resident, or with all of them."""
    generator = torch.Generator().manual_seed(4)
    x, text = torch.randn(1, 16, 2, 8, 8, generator=generator), POSITIVE[0][0]
    device = comfy.model_management.get_torch_device()
    model.load(device, lowvram_model_memory=1 if low_vram else 0)
    try:
        return model.model.apply_model(x.to(device), torch.tensor([0.7], device=device), c_crossattn=text.to(device)).cpu()
    finally:
        model.detach()


def test_partly_loaded_it_is_the_same_and_a_lora_takes_effect_in_every_layer(lora, floats, checkpoint):
    model, whole = pipeline.load_dit(FILE), float_models.load_dit(floats["dit"])
    if model.is_dynamic():
        pytest.skip("dynamic VRAM has no such mode")
    source = checkpoint("dit", FILE)
    with watching(model.model.diffusion_model, source) as watch:
        streamed = predict(model, low_vram=True)
    watch.check(source.weights)
    assert torch.equal(streamed, predict(model, low_vram=False))
    changes = [predict(with_lora(each, lora), low_vram=True) - predict(each, low_vram=True) for each in (model, whole)]
    assert cosine(*changes) > 0.98


def test_saved_by_the_stock_node_it_loads_again_bit_for_bit(folder, tmp_path_factory, monkeypatch, add_folder):
    from comfy_extras.nodes_model_merging import ModelSave

    model = pipeline.load_dit(FILE, dtype="fp32")
    if model.is_dynamic():
        pytest.skip("ComfyUI's ModelSave can't save int8 under dynamic VRAM")
    plain, place = sample(model), tmp_path_factory.mktemp("saved")
    monkeypatch.setattr(folder_paths, "output_directory", str(place))
    ModelSave().save(model, "saved")
    (path,) = place.glob("saved*.safetensors")
    add_folder("diffusion_models", place)
    again = pipeline.load_dit(path.name, dtype="fp32")
    assert record_of(again).format == ALL
    assert record_of(again).kernels == record_of(model).kernels
    assert torch.equal(sample(again), plain)


@pytest.fixture
def saving_here(folder, monkeypatch):
    """The folder as the first one, where Save Quantized Model writes."""
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(folder)], {".safetensors"}))
    return folder


@pytest.mark.parametrize("layout", ["single", "split"])
def test_saved_by_our_node_it_is_the_same_model(saving_here, checkpoint, layout):
    model = pipeline.load_dit(FILE, dtype="fp32")
    path, text = save(model, Target("saved", layout))
    assert f"{path}: {ALL}, " in text
    again = pipeline.load_dit("saved.safetensors" if layout == "single" else "saved", dtype="fp32")
    assert record_of(again).format == ALL
    assert torch.equal(sample(again), sample(model))
    layers = checkpoint("dit", FILE).weights
    found = {name: stored_as(weight).name for name, weight in checkpoint("dit", os.path.basename(path)).weights.items()}
    assert found == {name: stored_as(weight).name for name, weight in layers.items()}


def test_saved_with_a_lora_each_layer_is_baked_into_its_format(saving_here, lora, checkpoint):
    model = pipeline.load_dit(FILE, dtype="fp32")
    path, text = save(with_lora(model, lora), Target("baked", bake=True))
    assert "patches baked into 12 weights" in text
    before, after = checkpoint("dit", FILE).weights, checkpoint("dit", os.path.basename(path)).weights
    changed = {name for name, weight in after.items() if not torch.equal(_floats(weight), _floats(before[name]))}
    assert changed == {f"blocks.{block}.{layer}" for block in range(2) for layer in LAYERS} - {"blocks.1.self_attn.o"}
    assert [stored_as(after[name]).name for name in after] == [stored_as(before[name]).name for name in after]


def test_for_comfyui_the_first_layer_that_it_can_not_have_is_named(saving_here):
    with pytest.raises(ConvertError, match=r"nothing like (fp8-b128|int4-g128), as which blocks\.\d\.\w+\.\w is stored, so for comfyui"):
        save(pipeline.load_dit(FILE), Target("core", reader="comfyui"))


def _floats(weight: QuantizedWeight) -> torch.Tensor:
    return stored_as(weight).dequantize(weight, torch.float32)


def test_a_second_copy_is_independent(folder):
    model = pipeline.load_dit(FILE)
    factory, arguments = model.cached_patcher_init[:2]
    copy = factory(*arguments, disable_dynamic=True)
    assert copy.model is not model.model
    assert record_of(copy) == record_of(model)
    assert torch.equal(sample(copy), sample(model))


def test_the_stock_compile_node_works(folder):
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    torch._dynamo.reset()
    model = pipeline.load_dit(FILE)
    plain = sample(model, steps=1, cfg=1.0)
    compiled = TorchCompileModel.execute(model, "inductor").args[0]
    assert relative_error(sample(compiled, steps=1, cfg=1.0).cpu(), plain.cpu()) < 0.02
    assert torch.equal(sample(model, steps=1, cfg=1.0), plain)


ONE_OF_EACH = {"fp8-channel": "blocks.0.self_attn.q", "int8-channel": "blocks.0.self_attn.k", "fp8-b128": "blocks.0.self_attn.v",
               "int4-g128": "blocks.0.self_attn.o"}  # fmt: skip


def _scales_reversed(weight: QuantizedWeight) -> QuantizedWeight:
    return weight._replace(scale=weight.scale.flip(0))


def _zeroed(weight: QuantizedWeight) -> QuantizedWeight:
    return weight._replace(data=torch.full_like(weight.data.view(torch.uint8), 0x88).view(weight.data.dtype))


@pytest.mark.parametrize("name", list(ONE_OF_EACH))
@pytest.mark.parametrize("broken", [_scales_reversed, _zeroed])
def test_a_broken_layer_of_any_format_is_noticed_and_only_it(folder, checkpoint, name, broken):
    source, model, layer = checkpoint("dit", FILE), pipeline.load_dit(FILE, dtype="fp32"), ONE_OF_EACH[name]
    linear = model.model.diffusion_model.get_submodule(layer)
    linear.weight = torch.nn.Parameter(wrap(broken(stored(linear.weight)), linear.weight.dtype), requires_grad=False)
    with watching(model.model.diffusion_model, source) as watch:
        sample(model, steps=1, cfg=1.0)
    assert {each for each, excess in watch.excess.items() if excess > 1} == {layer}
    with pytest.raises(AssertionError, match="wrong outputs"):
        watch.check(source.weights)


def test_a_layer_stored_in_another_format_than_the_file_has_it_is_noticed(folder, floats, checkpoint):
    """int8 where the file has fp8: nearer to the float weight, and not what the file says."""
    source, model, layer = checkpoint("dit", FILE), pipeline.load_dit(FILE), ONE_OF_EACH["fp8-channel"]
    other = FORMATS["int8-channel"].quantize(floats["dit"][layer + ".weight"])
    linear = model.model.diffusion_model.get_submodule(layer)
    linear.weight = torch.nn.Parameter(wrap(other, linear.weight.dtype), requires_grad=False)
    with watching(model.model.diffusion_model, source) as watch:
        sample(model, steps=1, cfg=1.0)
    assert watch.excess[layer] > 1


def test_a_pair_may_be_mixed_each_in_its_own_way(folder, floats):
    (folder / FILE).unlink()
    for expert, quantizes in (("high", "int4-g128"), ("low", "int8-channel")):
        tensors = small_models.mixed(floats["dit"], "dit", lambda key, name=quantizes: name if "ffn" in key else "fp8-channel")
        small_models.save(tensors, folder / f"wan2.2_{expert}_noise_pair.safetensors")
    high, low = pipeline.load_pair(high_noise="wan2.2_high_noise_pair.safetensors")
    assert record_of(high).format == mixture(["fp8-channel", "int4-g128"])
    assert record_of(low).format == mixture(["fp8-channel", "int8-channel"])


def _in_marlins_packing(tensors):
    tensors = dict(tensors)
    for key in [key for key, tensor in tensors.items() if tensor.dtype is INT4_G128.dtype]:
        packed = INT4_MARLIN.from_plain(QuantizedWeight(tensors[key], tensors[key + "_scale"]))
        tensors |= {key: packed.data, key + "_scale": packed.scale}
    return tensors
