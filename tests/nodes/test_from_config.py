"""The node for LightX2V's configurations: what it loads, and what it says."""

import json
import os
import shutil
from pathlib import Path

import folder_paths
import pipeline
import pytest
import small_models
import torch
from comfy_execution.graph_utils import ExecutionBlocker
from config_node import INPUTS, INT8, copy, run, write
from lightquant.bridge.record import record_of
from lightquant.errors import ConfigError, LightQuantError, SchemeError
from lightquant.kernels.reference import relative_error
from lightquant.nodes.from_config import FromConfig
from lightquant.nodes.inputs import missing_kernel
from safetensors.torch import save_file


def sample(model, image: bool = True) -> torch.Tensor:
    return pipeline.sample(model, pipeline.conditioning(1, image=image), pipeline.conditioning(2, image=image))


def reason(value: object) -> str:
    assert isinstance(value, ExecutionBlocker)
    return value.message


def test_schema(wan):
    write(INT8, "sub/wan.json")
    write({}, "config.json")
    write({}, "model.safetensors.index.json")
    inputs = {each.id: each for each in FromConfig.define_schema().inputs}
    assert inputs["config"].options == ["input/sub/wan.json"]
    assert inputs["model_folder"].options == ["none", "diffusion_models/Wan"]
    assert inputs["task"].options == ["t2v", "i2v", "flf2v", "vace", "animate", "s2v"]
    assert inputs["missing_kernel"].as_dict() == missing_kernel().as_dict()
    assert [each.io_type for each in FromConfig.define_schema().outputs] == ["MODEL", "MODEL", "CLIP", "CLIP_VISION", "STRING"]


def test_it_gives_what_the_loaders_give(wan, models):
    output = run("// int8 throughout\n" + json.dumps({**INT8, "infer_steps": 4, "cpu_offload": True, "self_attn_1_type": "sage_attn2"}))
    model, low, clip, vision, text = output.args
    assert torch.equal(sample(model), sample(pipeline.load_dit("wan_i2v_int8.safetensors", scheme="int8-vllm")))
    tokens = clip.tokenize("a cat walks")
    alone = pipeline.load_t5("models_t5_umt5-xxl-enc-int8.pth", scheme="int8-vllm")
    assert torch.equal(clip.encode_from_tokens(tokens), alone.encode_from_tokens(tokens))
    assert record_of(vision.patcher).scheme == "int8-q8f"
    assert record_of(clip.patcher).tokenizer == str(wan / "google" / "umt5-xxl" / "spiece.model")
    records = [record_of(patcher) for patcher in (model, clip.patcher, vision.patcher)]
    assert [Path(record.file).parent.name for record in records] == ["Wan", "int8", "int8"]
    assert "describes one model" in reason(low)
    assert list(output.ui.as_dict()["text"]) == [text]
    assert "infer_steps = 4: steps of KSampler" in text
    assert "cpu_offload = true: ComfyUI moves models" in text


def test_the_two_experts_are_told_apart(experts, models):
    values = {"dit_quantized": True, "dit_quant_scheme": "int8-vllm", "t5_quantized": False, "boundary": 0.9, "use_image_encoder": False}
    high, low, clip, vision, text = run(values).args
    for expert, model in {"high": high, "low": low}.items():
        assert Path(record_of(model).file).parent.name == f"{expert}_noise_model"
    assert not torch.equal(sample(high, image=False), sample(low, image=False))
    assert "not quantized in this configuration" in reason(clip)
    assert "Load CLIP (type wan)" in reason(clip)
    assert "use_image_encoder is false" in reason(vision)
    assert "two experts" in text


def lora_file(tmp_path: Path, name: str = "small.safetensors", prefix: str = "diffusion_model.") -> Path:
    draw, path = small_models.Weights(9), tmp_path / "loras" / name
    path.parent.mkdir(exist_ok=True)
    parts = {"lora_down.weight": draw.normal(8, 256), "lora_up.weight": draw.normal(256, 8), "alpha": torch.tensor(4.0)}
    save_file({f"{prefix}blocks.0.self_attn.q.{name}": tensor for name, tensor in parts.items()}, path)
    folder_paths.filename_list_cache.clear()
    return path


def test_loras_are_applied_with_their_strength(wan, tmp_path):
    import nodes

    lora_file(tmp_path)
    values = {**INT8, "t5_quantized": False, "clip_quantized": False}
    plain = sample(run(values).args[0])
    patched, *_, text = run({**values, "lora_configs": [{"path": "/home/someone/loras/small.safetensors", "strength": 0.5}]}).args
    by_node = nodes.LoraLoaderModelOnly().load_lora_model_only(run(values).args[0], "small.safetensors", 0.5)[0]
    latents = sample(patched)
    assert not torch.equal(latents, plain)
    assert torch.equal(latents, sample(by_node))
    assert f"LoRA on the model at 0.5: {tmp_path / 'loras' / 'small.safetensors'} (by its name" in text


def test_each_expert_gets_its_own_lora(experts, tmp_path):
    lora_file(tmp_path)
    values = {"dit_quantized": True, "dit_quant_scheme": "int8-vllm", "boundary": 0.9, "use_image_encoder": False}
    plain = [sample(model, image=False) for model in run(values).args[:2]]
    patched = run({**values, "lora_configs": [{"name": "low_noise_model", "path": "small.safetensors", "strength": 1.0}]}).args[:2]
    latents = [sample(model, image=False) for model in patched]
    assert torch.equal(latents[0], plain[0])
    assert not torch.equal(latents[1], plain[1])


def test_a_lora_of_another_model_is_an_error(wan, tmp_path):
    lora_file(tmp_path, "other.safetensors", "transformer.single_blocks.")
    values = {**INT8, "t5_quantized": False, "clip_quantized": False, "lora_configs": [{"path": "other.safetensors"}]}
    with pytest.raises(ConfigError, match="changes nothing in this model"):
        run(values)
    with pytest.raises(ConfigError, match="found no file for the LoRA absent"):
        run({**values, "lora_configs": [{"path": "absent.safetensors"}]})


def test_a_quantized_file_that_the_configuration_calls_original_is_loaded_as_it_is(wan):
    output = run({"dit_original_ckpt": "wan_i2v_int8.safetensors"}, task="t2v")
    assert record_of(output.args[0]).format == "int8-channel"
    assert "not quantized according to the configuration, but its file is" in output.args[-1]


def test_a_float_dit_is_loaded_as_comfyui_loads_it(wan, models, floats, tmp_path):
    import nodes

    copy(models / "diffusion_models" / "wan_i2v.safetensors", wan)
    small_models.save_split(floats["i2v"], wan / "parts")
    lora_file(tmp_path)
    expected = nodes.UNETLoader().load_unet("wan_i2v.safetensors", "default")[0]
    for asked in ("wan_i2v.safetensors", "parts"):
        output = run({"dit_original_ckpt": asked}, task="t2v")
        assert torch.equal(sample(output.args[0]), sample(expected))
        assert "not quantized" in output.args[-1]
        assert "the task t2v has none" in reason(output.args[3])
    patched = run({"dit_original_ckpt": "parts", "lora_configs": [{"path": "small.safetensors"}]}, task="t2v").args[0]
    assert not torch.equal(sample(patched), sample(expected))
    factory, arguments = patched.cached_patcher_init
    assert torch.equal(sample(factory(*arguments)), sample(expected))


def test_float_encoders_are_loaded_too(wan, floats, spiece):
    import float_models
    import nodes

    bf16 = {key: tensor.bfloat16() for key, tensor in floats["t5"].items()}
    small_models.save(bf16, wan / "models_t5_umt5-xxl-enc-bf16.pth")
    small_models.save(floats["clip"], wan / "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth")
    output = run({**INT8, "t5_quantized": False, "clip_quantized": False})
    clip, vision = output.args[2:4]
    (given,) = nodes.CLIPTextEncode().encode(clip, "a cat walks over the roof")
    (expected,) = nodes.CLIPTextEncode().encode(float_models.load_t5(bf16, spiece), "a cat walks over the roof")
    assert relative_error(given[0][0], expected[0][0]) < 0.02
    image = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(0))
    seen, wanted = (model.encode_image(image)["penultimate_hidden_states"] for model in (vision, float_models.load_clip(floats["clip"])))
    assert relative_error(seen, wanted) < 0.02
    assert output.args[-1].count("not quantized; ") >= 2
    factory, arguments = clip.patcher.cached_patcher_init
    assert factory(*arguments).model is not clip.patcher.model


def test_a_float_dit_that_is_nowhere_says_so_on_its_output(wan):
    assert "Load Diffusion Model; not found" in reason(run({"dit_original_ckpt": "absent.safetensors"}, task="t2v").args[0])


def test_a_float_file_that_the_configuration_calls_quantized_is_quantized_while_it_loads(wan, models):
    copy(models / "diffusion_models" / "wan_i2v.safetensors", wan / "float" / "wan_i2v.safetensors")
    output = run({**INT8, "dit_quantized_ckpt": "float/wan_i2v.safetensors"})
    assert record_of(output.args[0]).how == "quantized while loading, absmax"
    assert "wan_i2v.safetensors, quantized while loading, absmax" in output.args[-1]


def test_without_a_model_folder_comfyuis_own_folders_are_searched(wan, models, add_folder):
    shutil.rmtree(wan)
    with pytest.raises(ConfigError, match=r"found no file for MODEL.*found 2"):
        run(INT8, model_folder="none")
    values = {**INT8, "dit_quantized_ckpt": "somewhere/wan_i2v_int8.safetensors"}
    model, _, clip, vision, _ = run(values, model_folder="none").args
    assert record_of(model).file == str(models / "diffusion_models" / "wan_i2v_int8.safetensors")
    assert record_of(clip.patcher).file == str(models / "text_encoders" / "models_t5_umt5-xxl-enc-int8.pth")
    assert record_of(vision.patcher).file.startswith(str(models / "clip_vision"))


@pytest.mark.parametrize("scheme", ["nvfp4", "mxfp8", "gguf-Q4_K_S", "int8-npu", "fp8-triton2", "fp8", "nonsense"])
def test_schemes_that_are_not_ours_are_refused_by_name(wan, scheme):
    with pytest.raises(SchemeError, match=f"LightQuant has no scheme {scheme}, which dit_quant_scheme asks for") as caught:
        run({**INT8, "dit_quant_scheme": scheme})
    assert "int8-vllm" in str(caught.value) or "fp8-vllm" in str(caught.value)


def test_a_missing_kernel_can_stop(wan):
    with pytest.raises(LightQuantError, match="it needs an NVIDIA GPU, this is the CPU"):
        run(INT8, missing_kernel="stop")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "line 1, column 2"), ("[1]", "holds a list"), ('{"dit_quantized": 1}', "dit_quantized is 1, where true or false is needed")],
)
def test_a_wrong_configuration_names_the_place(wan, text, message):
    with pytest.raises(ConfigError, match=message):
        run(text)


def test_another_models_configuration_is_refused(wan):
    with pytest.raises(ConfigError, match="describes no Wan model"):
        run({"prompt_template_encode": "x", "dit_quantized": True})


def test_a_changed_file_runs_again_and_nothing_else_does(wan, tmp_path):
    def fingerprint() -> str:
        return FromConfig.fingerprint_inputs(**INPUTS)

    lora = lora_file(tmp_path)
    write({**INT8, "lora_configs": [{"path": "small.safetensors"}]}, "wan.json")
    first = fingerprint()
    assert first == fingerprint()
    for file in (Path(folder_paths.get_input_directory(), "wan.json"), wan / "wan_i2v_int8.safetensors", lora):
        before = fingerprint()
        os.utime(file, (1, 1))
        assert before != fingerprint()
    Path(folder_paths.get_input_directory(), "wan.json").unlink()
    assert "found no configuration" in fingerprint()


class Server:
    """What ComfyUI's executor tells the browser."""

    client_id = last_node_id = last_prompt_id = None

    def __init__(self):
        self.sent = []

    def send_sync(self, event: str, data: dict, *_: object) -> None:
        self.sent.append((event, data))


def test_the_server_runs_what_there_is_and_says_why_the_rest_is_not(wan, monkeypatch):
    """The graph of a remote user, by ComfyUI's own executor: one branch on a MODEL, one on an output that the configuration does not have."""
    import execution
    import nodes
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3
    from comfy_extras.nodes_preview_any import PreviewAny

    mine = {"LightQuantFromConfig": FromConfig, "ModelSamplingSD3": ModelSamplingSD3, "PreviewAny": PreviewAny}
    for name, node in mine.items():
        monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, name, node)
    write({**INT8, "t5_quantized": False, "clip_quantized": False}, "wan.json")
    prompt = {"1": {"class_type": "LightQuantFromConfig", "inputs": INPUTS}}
    for number, output in enumerate((0, 1), start=2):
        prompt[f"{number}"] = {"class_type": "ModelSamplingSD3", "inputs": {"model": ["1", output], "shift": 5.0}}
        prompt[f"{number}0"] = {"class_type": "PreviewAny", "inputs": {"source": [f"{number}", 0]}}
    executor = execution.PromptExecutor(Server(), cache_args={"lru": 0, "ram": 0.0, "ram_inactive": 0.0})
    executor.execute(prompt, "id", {"client_id": "browser"}, ["20", "30"])
    errors = [data for event, data in executor.server.sent if event == "execution_error"]
    assert ["describes one model, not a pair of experts" in error["exception_message"] for error in errors] == [True]
    assert [error["node_id"] for error in errors] == ["3"]
    assert "20" in executor.history_result["outputs"]
    assert "scheme int8-vllm" in executor.history_result["outputs"]["1"]["text"][0]


@pytest.mark.parametrize("shift", [5.0, 12.0])
def test_the_steps_of_a_distilled_model_are_what_the_text_says(shift):
    """euler, simple and 4 steps under ModelSamplingSD3 are LightX2V's denoising_step_list 1000, 750, 500, 250."""
    import comfy.model_sampling
    import comfy.samplers

    sampling = comfy.model_sampling.ModelSamplingDiscreteFlow()
    sampling.set_parameters(shift=shift, multiplier=1000)
    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", 4)
    wanted = [shift * part / (1 + (shift - 1) * part) for part in (1.0, 0.75, 0.5, 0.25)]
    assert torch.allclose(sigmas[:4], torch.tensor(wanted), atol=1e-5)
