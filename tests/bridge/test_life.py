"""A quantized model's life in ComfyUI: size, clones, compiling, saving, unloading, second copies, hooks' delegates."""

import gc

import comfy.model_management
import nodes
import pipeline
import pytest
import torch
from checks import watching
from lightquant.bridge.record import record_of
from lightquant.kernels.reference import relative_error
from safetensors import safe_open

FILES = ["wan_t2v_fp8.safetensors", "wan_t2v_int8.safetensors"]


def sample(model) -> torch.Tensor:
    return pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2))


@pytest.mark.parametrize("file", FILES)
def test_model_size_is_that_of_the_stored_weights(models, checkpoint, file):
    model, source = pipeline.load_dit(file, dtype="fp32"), checkpoint("dit", file)
    quantized = sum(part.nbytes for weight in source.weights.values() for part in weight)
    assert model.model_size() == pytest.approx(quantized + sum(tensor.nbytes for tensor in source.tensors.values()), rel=0.01)
    assert record_of(model).weight_bytes == pytest.approx(model.model_size(), rel=0.01)


def test_the_record_says_what_the_model_is(models, checkpoint):
    model = pipeline.load_dit(FILES[0], scheme="fp8-vllm")
    record = record_of(model.clone())
    assert (record.component, record.format, record.scheme, record.kernel) == ("dit", "fp8-channel", "fp8-vllm", "fp8-torch")
    assert record.file == str(models / "diffusion_models" / FILES[0])
    assert "fp8-vllm can't run here" in record.why
    assert set(record.quantized) == set(checkpoint("dit", FILES[0]).weights)
    assert "head.head.weight" in record.float_tensors


@pytest.mark.parametrize("file", FILES)
def test_scales_stay_fp32_and_codes_untouched(models, checkpoint, file):
    model = pipeline.load_dit(file, dtype="bf16")
    state, source = model.model.diffusion_model.state_dict(), checkpoint("dit", file)
    for layer, weight in source.weights.items():
        assert state[layer + ".weight_scale"].dtype is torch.float32
        assert torch.equal(state[layer + ".weight_scale"].cpu(), weight.scale)
        assert torch.equal(state[layer + ".weight"].cpu().view(torch.uint8), weight.data.view(torch.uint8))


@pytest.mark.parametrize("file", FILES)
def test_clones_share_weights_and_moving_changes_nothing(models, file):
    model = pipeline.load_dit(file)
    plain = sample(model)
    assert torch.equal(sample(model.clone()), plain)
    comfy.model_management.unload_all_models()
    model.model.to("cpu")
    assert torch.equal(sample(model), plain)


def skip_if_core_cannot_save(model, file: str) -> None:
    if model.is_dynamic() and "int8" in file:
        pytest.skip("ComfyUI 0.30 to 0.33 can't save int8 weights, its own included, under dynamic VRAM: it raises, so nothing is written")


@pytest.mark.parametrize("file", FILES)
def test_saved_by_the_stock_node_it_loads_again_bit_for_bit(models, file, tmp_path, monkeypatch, add_folder):
    import folder_paths
    from comfy_extras.nodes_model_merging import ModelSave

    model = pipeline.load_dit(file, dtype="fp32")
    skip_if_core_cannot_save(model, file)
    plain = sample(model)
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    ModelSave().save(model, f"saved_{file[:-12]}")
    (path,) = tmp_path.glob("saved*.safetensors")
    add_folder("diffusion_models", tmp_path)
    again = pipeline.load_dit(path.name, dtype="fp32")
    assert torch.equal(sample(again), plain)
    with safe_open(path, framework="pt") as saved:
        assert saved.get_slice("model.diffusion_model.blocks.0.ffn.0.weight").get_dtype() in ("F8_E4M3", "I8")


def test_saved_with_a_lora_it_is_baked_into_the_format(models, tmp_path, monkeypatch):
    import folder_paths
    from comfy_extras.nodes_model_merging import ModelSave

    model = pipeline.load_dit(FILES[1], dtype="fp32")
    skip_if_core_cannot_save(model, FILES[1])
    before = model.model.diffusion_model.get_submodule("blocks.0.ffn.0").weight.dequantize().float().cpu()
    patched = model.clone()
    key = "diffusion_model.blocks.0.ffn.0.weight"
    change = torch.randn(512, 256, generator=torch.Generator().manual_seed(0)) * 0.05
    patched.add_patches({key: ("diff", (change,))})
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    ModelSave().save(patched, "baked")
    (path,) = tmp_path.glob("baked*.safetensors")
    with safe_open(path, framework="pt") as saved:
        weight, scale = (saved.get_tensor(f"model.{key}{end}") for end in ("", "_scale"))
    assert weight.dtype is torch.int8
    assert relative_error(weight.float() * scale, before + change) < 0.05
    assert relative_error(before, before + change) > 0.5


@pytest.mark.parametrize("tag", ["fp8", "int8"])
def test_a_text_encoder_saved_by_the_stock_node_loads_again_bit_for_bit(models, tag, tmp_path, monkeypatch, add_folder):
    import folder_paths
    from comfy_extras.nodes_model_merging import CLIPSave

    clip = pipeline.load_t5(f"models_t5_umt5-xxl-enc-{tag}.pth")
    if clip.patcher.is_dynamic() and tag == "int8":
        pytest.skip("as for models")
    (plain,) = nodes.CLIPTextEncode().encode(clip, "a cat")
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    CLIPSave().save(clip, f"clip_{tag}")
    path = max(tmp_path.glob("clip*.safetensors"), key=lambda each: each.stat().st_size)  # the node writes what it can't name beside it
    add_folder("text_encoders", tmp_path)
    (again,) = nodes.CLIPTextEncode().encode(pipeline.load_t5(path.name), "a cat")
    assert torch.equal(again[0][0], plain[0][0])


def test_a_clip_vision_model_in_comfyuis_names_loads_again_bit_for_bit(models, tmp_path, add_folder):
    from safetensors.torch import save_file

    vision = pipeline.load_clip("models_clip_open-clip-xlm-roberta-large-vit-huge-14-fp8.pth")
    images = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    plain = vision.encode_image(images).penultimate_hidden_states
    save_file({key: tensor.detach().cpu().contiguous() for key, tensor in vision.get_sd().items()}, tmp_path / "vision_saved.safetensors")
    add_folder("clip_vision", tmp_path)
    assert torch.equal(pipeline.load_clip("vision_saved.safetensors").encode_image(images).penultimate_hidden_states, plain)


@pytest.mark.parametrize("file", [FILES[0], pytest.param(FILES[1], marks=pytest.mark.gpu)])
def test_the_stock_compile_node_works(models, file):
    """On the CPU one format is enough: both go through the same code there, and compiling it takes most of a minute."""
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    def one_step(model) -> torch.Tensor:
        return pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2), steps=1, cfg=1.0)

    torch._dynamo.reset()
    model = pipeline.load_dit(file)
    plain = one_step(model)
    compiled = TorchCompileModel.execute(model, "inductor").args[0]
    assert relative_error(one_step(compiled).cpu(), plain.cpu()) < 0.02
    assert torch.equal(one_step(model), plain)


def test_a_second_copy_is_independent(models):
    """What TorchCompileModel, hooks and the multi-GPU nodes ask for through cached_patcher_init."""
    model = pipeline.load_dit(FILES[0])
    factory, arguments = model.cached_patcher_init[:2]
    copy = factory(*arguments, disable_dynamic=True)
    assert not copy.is_dynamic()
    assert copy.model is not model.model
    assert record_of(copy) == record_of(model)
    assert torch.equal(sample(copy), sample(model))
    clip = pipeline.load_t5("models_t5_umt5-xxl-enc-fp8.pth")
    factory, arguments = clip.patcher.cached_patcher_init[:2]
    assert factory(*arguments).model is not clip.patcher.model


def test_nothing_of_an_unloaded_model_stays(models):
    import weakref

    model = pipeline.load_dit(FILES[0])
    sample(model)
    module = weakref.ref(model.model)
    comfy.model_management.unload_all_models()
    del model
    gc.collect()
    comfy.model_management.cleanup_models()
    gc.collect()
    assert module() is None


@pytest.mark.gpu
def test_on_the_gpu_weights_that_do_not_fit_give_the_same_latents(models, checkpoint):
    """Streamed from host memory by whichever mode this run uses (dynamic VRAM or the old low-VRAM path)."""
    file = FILES[0]
    model = pipeline.load_dit(file)
    plain = sample(model)
    comfy.model_management.unload_all_models()
    if model.is_dynamic():
        loaded = model
        comfy.model_management.load_models_gpu([loaded])
        loaded.partially_unload(None, 1e30)
    else:
        model.load(comfy.model_management.get_torch_device(), lowvram_model_memory=1)
    with watching(model.model.diffusion_model, checkpoint("dit", file)) as watch:
        again = sample(model)
    watch.check(checkpoint("dit", file).weights)
    assert torch.equal(again, plain)


def test_text_encoders_run_their_kernel_though_comfyui_casts_them(models, checkpoint):
    """ComfyUI marks text encoders so that its own quantized layers dequantize."""
    file = "models_t5_umt5-xxl-enc-int8.pth"
    clip = pipeline.load_t5(file)
    with watching(clip.cond_stage_model.umt5xxl.transformer, checkpoint("t5", file)) as watch:
        nodes.CLIPTextEncode().encode(clip, "a cat")
    assert clip.patcher.force_cast_weights
    watch.check(checkpoint("t5", file).weights)
