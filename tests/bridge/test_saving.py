"""What is saved is what converting the float file writes, loads bit for bit, and is whole or not there."""

import json
import os

import comfy.model_management
import comfy.sd
import nodes
import pipeline
import pytest
import small_models
import torch
from checks import PLAIN_SCHEMES, assert_same, cosine
from lightquant.bridge import saving
from lightquant.bridge.float_models import load_float_dit, load_float_encoder
from lightquant.bridge.in_graph import quantize_model
from lightquant.bridge.saving import Target, save
from lightquant.bridge.targets import target_path
from lightquant.cli import main
from lightquant.errors import ConvertError
from lightquant.formats import FORMATS, INT4_MARLIN, QuantizedWeight
from lightquant.loaders.storage import storage_of
from safetensors import safe_open
from safetensors.torch import load_file

FOLDERS = {"dit": "diffusion_models", "i2v": "diffusion_models", "t5": "text_encoders", "clip": "clip_vision"}
LOADERS = {"dit": pipeline.load_dit, "i2v": pipeline.load_dit, "t5": pipeline.load_t5, "clip": pipeline.load_clip}
POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)


@pytest.fixture
def place(models, floats, spiece, tmp_path, monkeypatch):
    """The one folder of ComfyUI's for every kind of model, with the float ones in it."""
    import folder_paths

    ends = {".safetensors", ".pth"}
    for name, folder in FOLDERS.items():
        small_models.save(floats[name], tmp_path / f"{name}.pth")
        monkeypatch.setitem(folder_paths.folder_names_and_paths, folder, ([str(tmp_path)], ends))
    (tmp_path / "spiece.model").write_bytes(spiece)
    return tmp_path


def quantized(place, name: str, format_name: str):
    path = str(place / f"{name}.pth")
    model = load_float_dit(path) if name in ("dit", "i2v") else load_float_encoder(name, path)
    return quantize_model(model, PLAIN_SCHEMES[format_name], "absmax", True).model


def loaded(name: str, file: str, format_name: str):
    return LOADERS[name](file, scheme=PLAIN_SCHEMES[format_name])


def tensors_in(path) -> dict[str, torch.Tensor]:
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    return {key: tensor for file in files for key, tensor in load_file(file).items()}


def converted(place, name: str, format_name: str, *options: str) -> dict[str, torch.Tensor]:
    assert main(["convert", str(place / f"{name}.pth"), str(place / "out.safetensors"), "--force", "--format", format_name, *options]) == 0
    return load_file(place / "out.safetensors")


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert (found[key].dtype, found[key].shape) == (tensor.dtype, tensor.shape), key
        assert torch.equal(found[key].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8)), key


@pytest.mark.parametrize("format_name", list(FORMATS))
@pytest.mark.parametrize("name", list(FOLDERS))
def test_it_is_what_converting_writes_and_loads_bit_for_bit(place, name, format_name):
    model = quantized(place, name, format_name)
    path, text = save(model, Target("mine/saved"))
    assert path == str(place / "mine" / "saved.safetensors")
    assert text.startswith(f"{path}: {format_name}, ")
    expected = converted(place, name, format_name)
    found = load_file(path)
    if name == "clip":  # of the half that no model in ComfyUI has; LightX2V loads no CLIP without it
        assert [each.pop("log_scale").dtype for each in (found, expected)] == [torch.float16, torch.float16]
    assert_equal(found, expected)
    assert_same(loaded(name, "mine/saved.safetensors", format_name), model)


@pytest.mark.parametrize("name", ["dit", "t5"])
def test_int8_for_comfyui(place, name):
    model = quantized(place, name, "int8-channel")
    path, _ = save(model, Target("core", reader="comfyui"))
    found = load_file(path)
    assert json.loads(bytes(next(tensor for key, tensor in found.items() if key.endswith(".comfy_quant")).tolist())) == {"format": "int8_tensorwise"}
    assert_same(loaded(name, "core.safetensors", "int8-channel"), model)
    assert_equal(found, converted(place, name, "int8-channel", "--for", "comfyui"))
    if name == "t5":
        assert "spiece_model" in found
        assert "encoder.block.0.layer.0.SelfAttention.q.weight" in found


def test_int8_for_comfyui_samples_without_the_pack(place):
    from comfy.quant_ops import QUANT_ALGOS

    if "int8_tensorwise" not in QUANT_ALGOS:
        pytest.skip("this ComfyUI has no int8 of its own")
    model = quantized(place, "dit", "int8-channel")
    path, _ = save(model, Target("core", reader="comfyui"))
    core = comfy.sd.load_diffusion_model(path, model_options={"dtype": torch.float32})
    assert cosine(pipeline.sample(core, POSITIVE, NEGATIVE), pipeline.sample(model, POSITIVE, NEGATIVE)) > 0.999


def test_an_int8_text_encoder_for_comfyui_encodes_without_the_pack(place, floats):
    from comfy.quant_ops import QUANT_ALGOS

    if "int8_tensorwise" not in QUANT_ALGOS:
        pytest.skip("this ComfyUI has no int8 of its own")
    model = quantized(place, "t5", "int8-channel")
    tensors = load_file(save(model, Target("core", reader="comfyui"))[0])
    # What ComfyUI tells umt5-xxl by, which the small model lacks.
    tensors["encoder.block.23.layer.1.DenseReluDense.wi_1.weight"] = torch.zeros(10240, 1)
    config = {"num_layers": 2, "vocab_size": 128, "d_model": 4096, "num_heads": 2, "d_kv": 64, "d_ff": 256}
    core = comfy.sd.load_text_encoder_state_dicts(
        [tensors], clip_type=comfy.sd.CLIPType.WAN, model_options={"umt5xxl_model_config": config, "dtype": torch.float32}
    )
    (ours,), (theirs,) = (nodes.CLIPTextEncode().encode(each, "a cat on the roof")[0] for each in (model, core))
    assert cosine(ours[0], theirs[0]) > 0.999


def test_fp8_for_comfyui_needs_one_scale_a_tensor(place):
    model = quantized(place, "dit", "fp8-channel")
    with pytest.raises(ConvertError, match=r"has one scale a tensor, and this model's fp8-channel one a row"):
        save(model, Target("core", reader="comfyui"))
    expected = converted(place, "dit", "fp8-channel", "--for", "comfyui")
    model = loaded("dit", "out.safetensors", "fp8-channel")
    path, _ = save(model, Target("core", reader="comfyui"))
    assert_equal(load_file(path), expected)
    core = comfy.sd.load_diffusion_model(path, model_options={"dtype": torch.float32})
    assert cosine(pipeline.sample(core, POSITIVE, NEGATIVE), pipeline.sample(model, POSITIVE, NEGATIVE)) > 0.999


@pytest.mark.parametrize(("name", "format_name", "said"), [
    ("dit", "int4-g128", "nothing like int4-g128"), ("dit", "fp8-b128", "nothing like fp8-b128"),
    ("clip", "int8-channel", "a CLIP vision encoder reads nothing quantized"),
])  # fmt: skip
def test_what_comfyui_cannot_have_is_named(place, name, format_name, said):
    with pytest.raises(ConvertError, match=said):
        save(quantized(place, name, format_name), Target("core", reader="comfyui"))
    assert not list(place.glob("core*"))


@pytest.mark.parametrize("name", ["t5", "clip"])
def test_encoders_are_saved_by_blocks_too(place, name):
    path, _ = save(quantized(place, name, "int8-channel"), Target("parts/mine", layout="split"))
    files = storage_of(path).files
    assert [os.path.basename(file) for file in files][:2] == ["block_0.safetensors", "block_1.safetensors"]


@pytest.mark.parametrize("layout", ["split", "chunked"])
def test_layouts(place, layout):
    model = quantized(place, "i2v", "int8-channel")
    save(model, Target("parts/mine", layout=layout))
    assert (place / "parts" / "mine" / "diffusion_pytorch_model.safetensors.index.json").exists()
    assert_equal(tensors_in(place / "parts" / "mine"), converted(place, "i2v", "int8-channel"))
    assert_same(loaded("i2v", "parts/mine", "int8-channel"), model)


def test_a_pth_for_lightx2vs_encoders(place):
    model = quantized(place, "t5", "int8-channel")
    path, _ = save(model, Target("mine.pth"))
    assert_equal(torch.load(path, weights_only=True), converted(place, "t5", "int8-channel"))
    assert_same(loaded("t5", "mine.pth", "int8-channel"), model)


@pytest.mark.parametrize("format_name", list(FORMATS))
def test_a_loaded_file_is_saved_as_it_is(place, floats, format_name):
    """In plain int4 packing and with floats that bf16 can't hold, as another program may have written them."""
    small_models.save(small_models.quantized(floats["dit"], "dit", format_name), place / "theirs.safetensors")
    model = loaded("dit", "theirs.safetensors", format_name)
    path, _ = save(model, Target("saved"))
    found = load_file(path)
    assert found["head.modulation"].dtype is torch.float32
    if format_name == "int4-g128":
        assert found["blocks.0.ffn.0.weight"].dtype is INT4_MARLIN.dtype
    else:
        assert_equal(found, load_file(place / "theirs.safetensors"))
    again = loaded("dit", "saved.safetensors", format_name)
    assert torch.equal(pipeline.sample(again, POSITIVE, NEGATIVE), pipeline.sample(model, POSITIVE, NEGATIVE))


def test_the_header_says_what_it_is(place):
    path, _ = save(quantized(place, "dit", "int8-channel"), Target("saved"))
    with safe_open(path, "pt") as file:
        said = json.loads(file.metadata()["lightquant"])
    assert (said["format"], said["how"]) == ("int8-channel", "quantized in the graph, absmax")


def patched(model, bias: bool = False):
    change = torch.randn(512, 256, generator=torch.Generator().manual_seed(0)) * 0.05
    clone = model.clone()
    clone.add_patches({"diffusion_model.blocks.0.ffn.0.weight": ("diff", (change,))})
    if bias:
        clone.add_patches({"diffusion_model.blocks.0.ffn.0.bias": ("diff", (torch.full((512,), 0.25),))})
    return clone, change


def test_a_lora_is_baked_only_when_asked(place):
    model = quantized(place, "dit", "int8-channel")
    clone, change = patched(model, bias=True)
    with pytest.raises(ConvertError, match="2 weights of this MODEL have a LoRA or another patch on them, which is not saved unless bake is on"):
        save(clone, Target("saved"))
    path, text = save(clone, Target("saved", bake=True))
    assert text.endswith("patches baked into 2 weights")
    found, plain, key = load_file(path), load_file(save(model, Target("plain"))[0]), "blocks.0.ffn.0.weight"
    before = FORMATS["int8-channel"].dequantize(QuantizedWeight(plain[key], plain[key + "_scale"]), torch.float32)
    expected = FORMATS["int8-channel"].quantize(before + change)
    assert torch.equal(found[key], expected.data)
    assert torch.equal(found[key + "_scale"], expected.scale)
    bias = "blocks.0.ffn.0.bias"
    assert torch.equal(found[bias], (plain[bias].float() + 0.25).bfloat16())
    assert {name for name in found if not torch.equal(found[name].float(), plain[name].float())} == {key, key + "_scale", bias}


def test_weights_that_are_patched_at_the_moment_are_saved_as_they_were(place):
    model = quantized(place, "dit", "int8-channel")
    before = load_file(save(model, Target("before"))[0])
    clone, _ = patched(model)
    pipeline.sample(clone, POSITIVE, NEGATIVE)
    assert model.backup or model.is_dynamic()
    assert_equal(load_file(save(model, Target("after"))[0]), before)


def test_what_is_not_quantized_by_the_pack_is_refused(place):
    with pytest.raises(ConvertError, match=r"This MODEL is not quantized by LightQuant. Put Quantize Model before"):
        save(load_float_dit(str(place / "dit.pth")), Target("saved"))
    model = quantized(place, "dit", "int8-channel")
    down, up = torch.randn(4, 256), torch.randn(512, 4)
    lora = {"diffusion_model.blocks.0.ffn.0.lora_down.weight": down, "diffusion_model.blocks.0.ffn.0.lora_up.weight": up}
    bypassed, _ = comfy.sd.load_bypass_lora_for_models(model, None, lora, 1.0, 0.0)
    with pytest.raises(ConvertError, match="It can't be saved: load the LoRA with Load LoRA and turn bake on"):
        save(bypassed, Target("saved", bake=True))


@pytest.mark.parametrize("name", ["", " ", "../outside", "/etc/passwd", "a/../../b", "a//b", "C:\\x", "..\\outside", "a/."])
def test_names_that_lead_out_of_the_folder_are_refused(place, name):
    with pytest.raises(ConvertError, match="is no name for a file in ComfyUI's diffusion_models"):
        target_path("dit", name, "single")


def test_the_folder_is_the_one_that_comfyui_means_today(models, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", "/models")
    for folder, component in (("text_encoders", "t5"), ("diffusion_models", "dit")):
        old = {"text_encoders": "clip", "diffusion_models": "unet"}[folder]
        monkeypatch.setitem(folder_paths.folder_names_and_paths, folder, ([f"/models/{old}", f"/models/{folder}"], set()))
        assert target_path(component, "mine", "single") == f"/models/{folder}/mine.safetensors"


def test_what_is_there_is_replaced_only_when_asked_and_by_a_whole_file(place, monkeypatch):
    model = quantized(place, "dit", "int8-channel")
    target = place / "saved.safetensors"
    target.write_bytes(b"what was there before")
    with pytest.raises(ConvertError, match=r"is there already. Choose another name, or turn overwrite on"):
        save(model, Target("saved"))

    def cancelled():
        comfy.model_management.interrupt_current_processing()
        return lambda done, total: comfy.model_management.throw_exception_if_processing_interrupted()

    with monkeypatch.context() as patch:
        patch.setattr(saving, "byte_progress", cancelled)
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            save(model, Target("saved", overwrite=True))
    assert target.read_bytes() == b"what was there before"
    assert not list(place.glob("*.partial*"))
    save(model, Target("saved", overwrite=True))
    assert_same(loaded("dit", "saved.safetensors", "int8-channel"), model)


def test_the_file_that_a_model_was_loaded_from_can_be_replaced(place):
    save(quantized(place, "dit", "int8-channel"), Target("saved"))
    model = loaded("dit", "saved.safetensors", "int8-channel")
    save(model, Target("saved", overwrite=True))
    assert_same(loaded("dit", "saved.safetensors", "int8-channel"), model)


def test_too_little_space_is_said_beforehand(place, monkeypatch):
    from lightquant.convert import run

    model = quantized(place, "dit", "int8-channel")
    monkeypatch.setattr(run, "free_space", lambda folder: 1000)
    with pytest.raises(ConvertError, match=r"of room, and .* has 1000 bytes free. Nothing was written"):
        save(model, Target("saved"))
