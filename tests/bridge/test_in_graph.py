"""Quantizing a model of the graph gives what converting its file and loading that gives, and leaves the float model as it was."""

import gc
import json
import weakref

import comfy.clip_vision
import comfy.model_management
import comfy.sd
import float_models
import nodes
import pipeline
import pytest
import small_models
import torch
from checks import PLAIN_SCHEMES, assert_same, tensors_of
from lightquant.bridge.float_models import load_float_dit, load_float_encoder
from lightquant.bridge.in_graph import quantize_model
from lightquant.bridge.record import record_of
from lightquant.cli import main
from lightquant.errors import ConvertError
from safetensors.torch import save_file

POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)
FOLDERS = {"dit": "diffusion_models", "i2v": "diffusion_models", "t5": "text_encoders", "clip": "clip_vision"}
LOADERS = {"dit": pipeline.load_dit, "i2v": pipeline.load_dit, "t5": pipeline.load_t5, "clip": pipeline.load_clip}


@pytest.fixture
def place(models, floats, spiece, tmp_path, add_folder):
    """A folder of ComfyUI's with the float models in it."""
    for name, folder in FOLDERS.items():
        small_models.save(floats[name], tmp_path / f"{name}.pth")
        add_folder(folder, tmp_path)
    (tmp_path / "spiece.model").write_bytes(spiece)
    return tmp_path


def load_float(place, name: str):
    path = str(place / f"{name}.pth")
    return load_float_dit(path) if name in ("dit", "i2v") else load_float_encoder(name, path)


def quantized(model, scheme: str = "int8-torch", scaling: str = "absmax"):
    return quantize_model(model, scheme, scaling, True).model


def convert(place, name: str, format_name: str, *options: str):
    """The converted file, loaded."""
    assert main(["convert", str(place / f"{name}.pth"), str(place / "out.safetensors"), "--force", "--format", format_name, *options]) == 0
    return LOADERS[name]("out.safetensors", scheme=PLAIN_SCHEMES[format_name])


def sample(model) -> torch.Tensor:
    return pipeline.sample(model, POSITIVE, NEGATIVE)


@pytest.mark.parametrize("name", list(FOLDERS))
def test_it_equals_converting_and_loading(place, name):
    model = load_float(place, name)
    before = {key: tensor.clone() for key, tensor in tensors_of(model).items()}
    for format_name, scheme in PLAIN_SCHEMES.items():
        ours = quantized(model, scheme)
        assert type(ours).__name__ in (type(model).__name__, "QuantizedClipVision")
        assert_same(ours, convert(place, name, format_name))
        assert record_of(getattr(ours, "patcher", ours)).how == "quantized in the graph, absmax"
    after = tensors_of(model)
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())


def test_scales_of_least_squared_error(place):
    assert_same(quantized(load_float(place, "dit"), "fp8-torch", "mse"), convert(place, "dit", "fp8-channel", "--scale", "mse"))


def test_both_models_go_on_sampling_as_they_should(place):
    model = load_float(place, "dit")
    plain = sample(model)
    ours = quantized(model)
    assert torch.equal(sample(ours), sample(convert(place, "dit", "int8-channel")))
    assert torch.equal(sample(model), plain)
    assert not torch.equal(sample(ours), plain)


def test_an_encoder_keeps_its_tokenizer_and_its_options(place):
    clip = load_float(place, "t5")
    clip.set_tokenizer_option("min_length", 8)
    ours = quantized(clip)
    assert ours.tokenizer is clip.tokenizer
    assert ours.tokenizer_options == {"min_length": 8}
    assert ours.cond_stage_model is ours.patcher.model is not clip.cond_stage_model
    clip.set_tokenizer_option("min_length", 512)
    (expected,) = nodes.CLIPTextEncode().encode(convert(place, "t5", "int8-channel"), "a cat")
    ours.tokenizer_options = {}
    (found,) = nodes.CLIPTextEncode().encode(ours, "a cat")
    assert torch.equal(found[0][0], expected[0][0])


def test_a_vision_model_encodes_as_the_converted_one(place):
    images = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = quantized(load_float(place, "clip")), convert(place, "clip", "int8-channel")
    assert torch.equal(ours.encode_image(images).penultimate_hidden_states, theirs.encode_image(images).penultimate_hidden_states)


@pytest.fixture
def lora(place):
    draw, tensors = small_models.Weights(9), {}
    for layer, (outputs, inputs) in {"self_attn.q": (256, 256), "ffn.0": (512, 256), "ffn.2": (256, 512)}.items():
        name = f"diffusion_model.blocks.1.{layer}"
        tensors[name + ".lora_A.weight"] = draw.normal(8, inputs, std=inputs**-0.5)
        tensors[name + ".lora_B.weight"] = draw.normal(outputs, 8)
    tensors["diffusion_model.blocks.1.ffn.0.diff_b"] = draw.normal(512)
    save_file(tensors, place / "lora.safetensors")
    return tensors


def test_a_lora_is_merged_as_the_conversion_merges_it(place, lora):
    model = load_float(place, "dit")
    plain = sample(model)
    patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 0.7, 0.0)
    ours = quantized(patched)
    assert not ours.patches
    assert patched.patches
    found, expected = tensors_of(ours), tensors_of(convert(place, "dit", "int8-channel", "--lora", f"{place / 'lora.safetensors'}:0.7"))
    for key, tensor in expected.items():
        if tensor.dtype is torch.int8:  # the two multiply alpha and strength in another order, so that a tie may be rounded the other way
            assert int((tensor.int() - found[key].int()).abs().max()) <= 1
            assert float((tensor != found[key]).float().mean()) < 1e-4
        else:
            assert torch.allclose(tensor, found[key], rtol=2e-6 if key.endswith("scale") else 2**-7, atol=0)
    assert torch.equal(sample(model), plain)


def test_a_lora_that_is_baked_in_at_the_moment_is_merged_once(place, lora):
    patched, _ = comfy.sd.load_lora_for_models(load_float(place, "dit"), None, lora, 0.7, 0.0)
    expected = quantized(patched)
    latents = sample(patched)
    assert patched.backup or patched.is_dynamic()
    assert_same(quantized(patched), expected)
    assert torch.equal(sample(patched), latents)


def test_what_hangs_on_the_model_comes_along(place):
    from comfy.patcher_extension import CallbacksMP, WrappersMP
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    model = load_float(place, "dit")
    (shifted,) = ModelSamplingSD3().patch(model, 3.0)
    seen = []

    def wrapper(executor, *args, **kwargs):
        seen.append("wrapped")
        return executor(*args, **kwargs)

    shifted.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "mine", wrapper)
    shifted.add_callback_with_key(CallbacksMP.ON_LOAD, "mine", lambda *args: None)
    shifted.set_attachments("mine", "kept")
    shifted.set_model_compute_dtype(torch.float32)
    shifted.model_options["transformer_options"]["mine"] = [1]
    ours = quantized(shifted)
    assert ours.get_model_object("model_sampling").shift == 3.0
    assert ours.get_attachment("mine") == "kept"
    assert ours.force_cast_weights
    assert ours.get_model_object("manual_cast_dtype") is torch.float32
    assert ours.get_callbacks(CallbacksMP.ON_LOAD, "mine")
    (expected,) = ModelSamplingSD3().patch(convert(place, "dit", "int8-channel"), 3.0)
    assert torch.equal(sample(ours), sample(expected))
    assert seen
    ours.model_options["transformer_options"]["mine"].append(2)
    ours.add_object_patch("model_sampling", None)
    assert shifted.model_options["transformer_options"]["mine"] == [1]
    assert shifted.get_model_object("model_sampling").shift == 3.0
    assert record_of(shifted) is None
    assert model.get_model_object("model_sampling").shift != 3.0


def test_a_second_copy_has_memory_of_its_own_and_the_same_weights(place):
    for name in ("dit", "t5", "clip"):
        ours = quantized(load_float(place, name))
        patcher = getattr(ours, "patcher", ours)
        factory, arguments = patcher.cached_patcher_init[:2]
        again = factory(*arguments, disable_dynamic=True)
        assert_same(again, ours)
        theirs = {tensor.untyped_storage().data_ptr() for tensor in tensors_of(again).values()}
        assert not theirs & {tensor.untyped_storage().data_ptr() for tensor in tensors_of(ours).values()}


def test_the_stock_lora_and_compile_nodes_take_it(place, lora):
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    ours = quantized(load_float(place, "dit"))
    plain = sample(ours)
    patched, _ = comfy.sd.load_lora_for_models(ours, None, lora, 1.0, 0.0)
    assert not torch.equal(sample(patched), plain)
    assert torch.equal(sample(ours), plain)
    node = TorchCompileModel.execute(ours, "inductor")
    assert node.args[0].model is not None


def test_it_holds_the_float_model_no_longer_than_the_graph_does(place):
    model = load_float(place, "dit")
    ours, float_module = quantized(model), weakref.ref(model.model)
    comfy.model_management.unload_all_models()
    del model
    gc.collect()
    comfy.model_management.cleanup_models()
    gc.collect()
    assert float_module() is None
    assert sample(ours).isfinite().all()


def test_what_is_quantized_already_is_refused(models, place):
    for model in (pipeline.load_dit("wan_t2v_fp8.safetensors"), quantized(load_float(place, "dit"))):
        with pytest.raises(ConvertError, match=r"This MODEL is quantized already \((fp8|int8)-channel, .*\). Load the float model"):
            quantized(model)


def test_what_comfyui_has_quantized_is_refused(place):
    convert(place, "dit", "fp8-channel", "--for", "comfyui")
    core = comfy.sd.load_diffusion_model(str(place / "out.safetensors"), model_options={"dtype": torch.float32})
    with pytest.raises(ConvertError, match=r"is quantized already \(blocks\..* is ComfyUI's TensorCoreFP8"):
        quantized(core)


def test_what_holds_the_float_layers_is_refused(place, lora):
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    model = load_float(place, "dit")
    compiled = TorchCompileModel.execute(model, "inductor").args[0]
    with pytest.raises(ConvertError, match=r"is compiled as the float model that it is. Quantize first"):
        quantized(compiled)
    bypassed, _ = comfy.sd.load_bypass_lora_for_models(model, None, lora, 1.0, 0.0)
    with pytest.raises(ConvertError, match=r"has a LoRA of Load LoRA \(Bypass\)"):
        quantized(bypassed)
    replaced = model.clone()
    replaced.add_object_patch("diffusion_model.forward", model.model.diffusion_model.forward)
    with pytest.raises(ConvertError, match=r"has replaced diffusion_model.forward of this MODEL"):
        quantized(replaced)


def test_what_has_float_copies_on_further_gpus_is_refused_and_may_get_quantized_ones(place, monkeypatch):
    multigpu = pytest.importorskip("comfy_extras.nodes_multigpu", reason="this ComfyUI has no such nodes")
    model = load_float(place, "dit")
    further = torch.device("cpu", 0) if model.load_device.type == "cpu" else torch.device("cpu")
    monkeypatch.setattr(comfy.model_management, "get_all_torch_devices", lambda **_: [model.load_device, further])
    split = multigpu.MultiGPUCFGSplitNode.execute(model, 2).args[0]
    with pytest.raises(ConvertError, match=r"on further GPUs. Put Quantize Model before MultiGPU CFG Split"):
        quantized(split)
    ours = quantized(multigpu.MultiGPUCFGSplitNode.execute(model, 1).args[0])
    (copy,) = multigpu.MultiGPUCFGSplitNode.execute(ours, 2).args[0].get_additional_models_with_key("multigpu")
    assert copy.load_device == further
    assert_same(copy, ours)


def test_other_models_are_refused(place):
    vae = torch.nn.Linear(2, 2)
    with pytest.raises(ConvertError, match="LightQuant got a Linear, where a MODEL, a CLIP or a CLIP_VISION is needed"):
        quantized(vae)
    with pytest.raises(ConvertError, match="LightQuant got a NoneType"):
        quantized(None)
    config = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "num_channels": 3, "patch_size": 14,
              "image_size": 28, "hidden_act": "gelu", "projection_dim": 16, "model_type": "clip_vision_model"}  # fmt: skip
    file = place / "config.json"
    file.write_text(json.dumps(config))
    with pytest.raises(ConvertError, match=r"This CLIP_VISION is another model's \(CLIPVisionModelProjection\)"):
        quantized(comfy.clip_vision.ClipVisionModel(str(file)))  # 0.16 takes no dictionary
    other = load_float(place, "t5")
    del other.cond_stage_model.umt5xxl
    with pytest.raises(ConvertError, match=r"where a umt5 text encoder \(type wan\) is needed"):
        quantized(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_numbers_are_named(floats, value):
    damaged = floats["dit"]["blocks.1.ffn.2.weight"].clone()
    damaged[3, 5] = value
    model = float_models.load_dit({**floats["dit"], "blocks.1.ffn.2.weight": damaged})
    with pytest.raises(ConvertError, match=r"blocks.1.ffn.2.weight holds NaN or infinite values"):
        quantized(model)
