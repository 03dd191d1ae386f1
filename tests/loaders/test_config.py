"""LightX2V's configurations: what is read from them, what becomes of every key, and where errors are placed."""

import json
from pathlib import Path

import pytest
from lightquant.errors import ConfigError
from lightquant.loaders import config_keys
from lightquant.loaders.config import TASKS, Configuration, Lora, read
from lightquant.loaders.config_plan import Places, locate
from lightquant.loaders.config_text import as_json, describe
from lightquant.schemes import SCHEMES

OURS = Path(__file__).parent / "configs"
LIGHTX2VS = Path(__file__).resolve().parents[3] / "shared" / "data" / "lightx2v_configs"
PUBLISHED = sorted(path.relative_to(LIGHTX2VS).as_posix() for path in LIGHTX2VS.rglob("*.json"))
"""LightX2V's own files, where this machine has them; they are not part of the pack."""

ANYWHERE = Places("", lambda path: True, lambda kind, name: ())


def ours(name: str, task: str = "i2v", folder: str = "") -> Configuration:
    return read(str(OURS / f"{name}.json"), task, folder)


def published(name: str, task: str) -> Configuration:
    if name not in PUBLISHED:
        pytest.skip("LightX2V's configurations are not on this machine")
    return read(str(LIGHTX2VS / name), task)


def written(tmp_path: Path, text: str | dict, task: str = "t2v") -> Configuration:
    path = tmp_path / "written.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return read(str(path), task)


def schemes(configuration: Configuration) -> list[tuple[str, str | None, str | None]]:
    return [(part.component, part.expert, part.scheme) for part in configuration.parts]


def becomes(configuration: Configuration) -> dict[str, str]:
    return {note.key: note.becomes for note in configuration.notes}


def text_of(configuration: Configuration, key: str) -> str:
    return next(note.text for note in configuration.notes if note.key == key)


def test_one_model_with_comments():
    configuration = ours("one_model")
    assert schemes(configuration) == [("dit", None, "int8-vllm"), ("t5", None, "int8-vllm"), ("clip", None, "fp8-sgl")]
    assert configuration.loras == (Lora("https://not-a-comment.example/style.safetensors", 0.8, None),)
    assert not configuration.refused
    assert becomes(configuration)["my_own_key"] == config_keys.UNKNOWN
    assert text_of(configuration, "my_own_key") == "LightQuant does not know this key"
    assert text_of(configuration, "cpu_offload").startswith("ComfyUI moves models")
    assert "not use it for Wan either" in text_of(configuration, "offload_ratio")
    assert text_of(configuration, "sample_guide_scale") == "cfg of KSampler"


def test_two_experts():
    configuration = ours("two_experts")
    assert schemes(configuration) == [("dit", "high", "fp8-sgl"), ("dit", "low", "fp8-sgl"), ("t5", None, "fp8-sgl")]
    assert [part.asked for part in configuration.parts] == ["experts/high.safetensors", "experts/low.safetensors", "../encoders/t5.pth"]
    assert configuration.loras == (Lora("low.safetensors", 0.5, "low"), Lora("high.safetensors", 1.0, "high"))
    assert "simple and 4 steps of KSampler take exactly these" in text_of(configuration, "denoising_step_list")
    assert becomes(configuration)["sample_guide_scale"] == config_keys.UNUSED


def test_a_scheme_that_is_not_ours_is_described_and_refused_by_name():
    configuration = ours("four_bits")
    assert configuration.experts
    (refusal,) = configuration.refused
    assert "LightQuant has no scheme nvfp4, which dit_quant_scheme asks for" in refusal
    assert all(name in refusal for name in SCHEMES)
    assert "nvfp4" in describe(locate(configuration, ANYWHERE))


@pytest.mark.parametrize("name", [path.stem for path in OURS.glob("*.json")])
@pytest.mark.parametrize("task", TASKS)
def test_no_key_is_dropped(name, task):
    path = OURS / f"{name}.json"
    configuration = ours(name, task)
    plan = locate(configuration, ANYWHERE)
    said = {entry["key"] for entry in as_json(plan)["keys"]}
    lines = describe(plan)
    for note in configuration.notes:
        assert f'"{note.key}"' in path.read_text()
        assert note.key in said
        assert note.text
        assert note.becomes == config_keys.READ or f"{note.key} = {json.dumps(note.value)}" in lines
    assert len(configuration.notes) == {"one_model": 23, "two_experts": 15, "four_bits": 4}[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_key_of_lightx2vs_own_files_is_accounted_for(name):
    values = json.loads((LIGHTX2VS / name).read_text())
    for task in TASKS:
        configuration = published(name, task)
        assert {note.key: note.value for note in configuration.notes} == values
        assert not [note.key for note in configuration.notes if note.becomes == config_keys.UNKNOWN]
        assert all(note.text for note in configuration.notes)
        wan = "qwen" not in name
        assert bool(configuration.parts) == wan
        assert configuration.experts == (wan and "moe" in name)
        ours_or_refused = values.get("dit_quant_scheme") in SCHEMES
        assert bool(configuration.refused) == (not wan or ("dit_quant_scheme" in values and not ours_or_refused))
        assert [(lora.asked, lora.strength) for lora in configuration.loras] == [(x["path"], x["strength"]) for x in values.get("lora_configs", ())]
        json.dumps(as_json(locate(configuration, ANYWHERE)))


FACTS = {
    "distill/wan22/wan_moe_i2v_distill_4090.json": [("dit", "high", "fp8-q8f"), ("dit", "low", "fp8-q8f"), ("t5", None, "fp8-q8f")],
    "distill/wan22/wan_moe_i2v_distill_5090.json": [("dit", "high", "int8-q8f"), ("dit", "low", "int8-q8f"), ("t5", None, "int8-q8f")],
    "distill/wan22/wan_moe_i2v_distill_quant.json": [("dit", "high", "fp8-sgl"), ("dit", "low", "fp8-sgl"), ("t5", None, "fp8-sgl")],
    "quantization/wan_i2v.json": [("dit", None, "int8-vllm"), ("t5", None, None), ("clip", None, None)],
    "quantization/wan_i2v_torchao.json": [("dit", None, "int8-torchao"), ("t5", None, "int8-torchao"), ("clip", None, "int8-torchao")],
    "offload/disk/wan_i2v_phase_lazy_load_480p.json": [("dit", None, "fp8-vllm"), ("t5", None, "fp8-sgl"), ("clip", None, "fp8-sgl")],
    "offload/block/wan_t2v_1_3b.json": [("dit", None, None), ("t5", None, "fp8-sgl")],
    "wan22/wan_distill_moe_flf2v_int8.json": [("dit", "high", "int8-vllm"), ("dit", "low", "int8-vllm"), ("t5", None, "int8-vllm")],
    "wan22/wan_s2v.json": [("dit", None, None), ("t5", None, None)],
    "wan22/wan_animate_replace_4090.json": [("dit", None, "fp8-q8f"), ("t5", None, "fp8-q8f"), ("clip", None, "fp8-q8f")],
}


@pytest.mark.parametrize("name", list(FACTS))
def test_what_lightx2vs_own_files_describe(name):
    task = next(task for task in ("flf2v", "t2v", "animate", "s2v", "i2v") if task in name)
    assert schemes(published(name, task)) == FACTS[name]


def test_more_of_what_they_describe():
    lazy = published("offload/disk/wan_i2v_phase_lazy_load_720p.json", "i2v")
    assert [part.asked for part in lazy.parts] == ["/path/to/dit_quant_model", "/path/to/models_t5_umt5-xxl-enc-fp8.pth", "/path/to/clip-fp8.pth"]
    assert becomes(lazy)["lazy_load"] == config_keys.COMFYUI
    assert becomes(lazy)["rotary_chunk"] == config_keys.NOTHING
    loras = published("wan22/wan_distill_moe_flf2v_with_lora.json", "flf2v").loras
    assert [(lora.expert, lora.asked) for lora in loras] == [("low", "/path/to/low_noise_lora"), ("high", "/path/to/high_noise_lora")]
    gguf = published("quantization/gguf/wan_i2v_q4_k.json", "i2v")
    assert "gguf-Q4_K_S" in gguf.refused[0]
    npu = published("distill/wan22/wan_moe_i2v_distill_int8_4step_ulysses_npu.json", "i2v")
    assert npu.refused == tuple(text for text in npu.refused if "int8-npu" in text and "int8-vllm, int8-sgl" in text)
    animate = published("wan22/wan_animate2_distill.json", "animate")
    assert animate.tokenizer.endswith("/Wan-AI/umt5-xxl")
    assert [part.quantized for part in animate.parts] == [False] * 3
    qwen = published("offload/block/qwen_image_t2i_block.json", "t2v")
    assert "Qwen-Image" in qwen.refused[0]


@pytest.mark.parametrize("task", TASKS)
def test_the_image_encoder_depends_on_the_task(tmp_path, task):
    configuration = written(tmp_path, {"clip_quantized": True, "clip_quant_scheme": "fp8"}, task)
    seen = any(part.component == "clip" for part in configuration.parts)
    assert seen == (task not in ("t2v", "vace"))
    assert (becomes(configuration)["clip_quant_scheme"] == config_keys.READ) == seen
    assert not any(part.component == "clip" for part in written(tmp_path, {"use_image_encoder": False}, task).parts)


@pytest.mark.parametrize(
    ("values", "experts"),
    [
        ({}, False), ({"boundary": 0.9}, True), ({"boundary_step_index": 0}, True), ({"sample_guide_scale": [3, 4]}, True),
        ({"high_noise_original_ckpt": "a"}, True), ({"low_noise_quantized_ckpt": "a", "dit_quantized_ckpt": "b"}, True),
        ({"dit_quantized_ckpt": "b", "boundary": 0.9}, False), ({"high_noise_quantized_ckpt": None}, False), ({"model_cls": "wan2.2_moe"}, True),
    ],
)  # fmt: skip
def test_what_tells_a_pair_of_experts(tmp_path, values, experts):
    assert written(tmp_path, values).experts == experts


def test_a_model_folder_with_two_experts_tells_too(tmp_path):
    for name in ("high_noise_model", "low_noise_model"):
        (tmp_path / "distill_models" / name).mkdir(parents=True)
    assert ours("one_model").experts is False
    (tmp_path / "plain.json").write_text("{}")
    assert read(str(tmp_path / "plain.json"), "i2v", str(tmp_path)).experts


def test_what_is_out_of_use_says_why(tmp_path):
    configuration = written(tmp_path, {"dit_quant_scheme": "nvfp4", "dit_quantized_ckpt": "x", "t5_quantized": True, "t5_quant_scheme": "int8-sgl",
                                       "t5_original_ckpt": "y", "boundary_step_index": 2, "clip_quantized": True})  # fmt: skip
    assert not configuration.refused
    assert text_of(configuration, "dit_quant_scheme") == text_of(configuration, "dit_quantized_ckpt") == "dit_quantized is not true"
    assert text_of(configuration, "t5_original_ckpt") == "t5_quantized is true"
    assert text_of(configuration, "clip_quantized") == "the task t2v has no image encoder"
    assert becomes(configuration)["boundary_step_index"] == config_keys.UNUSED
    assert {becomes(configuration)[key] for key in ("dit_quant_scheme", "t5_original_ckpt", "clip_quantized")} == {config_keys.UNUSED}


def test_the_high_noise_expert_takes_its_original_checkpoint_too_as_in_lightx2v(tmp_path):
    values = {"dit_quantized": True, "dit_quant_scheme": "fp8-sgl", "high_noise_original_ckpt": "h", "low_noise_original_ckpt": "l"}
    configuration = written(tmp_path, values)
    assert [part.asked for part in configuration.parts if part.expert] == ["h", None]
    assert becomes(configuration)["high_noise_original_ckpt"] == config_keys.READ
    assert becomes(configuration)["low_noise_original_ckpt"] == config_keys.UNUSED


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('{"a": 1,\n  "b": }', "line 2, column 8", "Expecting value"),
        ('{"a": 1, // "}"\n/* two\nlines */ "b" 2}', "line 3, column 14", "Expecting ':' delimiter"),
        ('{"a": 1,}', "line 1, column ", "no JSON"),
        ('{"a": 1}\n /* open', "line 2, column 2", "not closed with"),
        ('{"a": "open}', "line 1, column 7", "Unterminated string"),
        ("[]", "line 1, column 1", "holds a list"),
        ("", "line 1, column 1", "Expecting value"),
        ('{"boundary": 1,\n "dit_quantized": "yes"}', "line 2, column 2", "dit_quantized is 'yes', where true or false is needed"),
        ('{"t5_quantized": true}', "line 1, column 2", "there is no t5_quant_scheme"),
        ('{"t5_quantized": true, "t5_quant_scheme": 8}', "line 1, column 24", "where a text in quotes is needed"),
        ('{"lora_configs": ["x"]}', "line 1, column 2", "must be an object in braces"),
        ('{"lora_configs": [{"strength": 1}]}', "line 1, column 2", "has no path"),
        ('{"lora_configs": [{"path": "x", "strength": true}]}', "line 1, column 2", "where a number is needed"),
        ('{"lora_configs": [{"path": "x", "strength": NaN}]}', "line 1, column 2", "is nan, where a number is needed"),
        ('{"lora_configs": [{"path": "x", "strength": 1e999}]}', "line 1, column 2", "is inf, where a number is needed"),
        (f'{{"lora_configs": [{{"path": "x", "strength": 1{"0" * 400}}}]}}', "line 1, column 2", "where a number is needed"),
        ('{"boundary": 0.9, "lora_configs": [{"path": "x"}]}', "line 1, column 19", "high_noise_model or low_noise_model"),
        ('{"t5_original_ckpt": "a\\u0000b"}', "line 1, column 2", "a character that no path can have"),
    ],
)
def test_errors_name_file_line_and_column(tmp_path, text, place, message):
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text)
    assert f"{tmp_path / 'written.json'}, {place}" in str(caught.value)
    assert message in str(caught.value)


def test_what_is_no_configuration(tmp_path):
    for name, content, message in (
        ("latin.json", b'{"a": "\xe9"}', "byte 7 is not UTF-8"),
        ("deep.json", b"[" * 200_000, "nested too deeply"),
        ("huge.json", b" " * (1 << 20) + b"{}", "not larger than 1 MiB"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read(str(tmp_path / name), "t2v")
    for place in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(ConfigError, match="can't read"):
            read(str(place), "t2v")


@pytest.mark.parametrize("text", ['{"a": "' + '\\"' * 300_000, "/*" * 400_000, '"' * 900_000, "{" + "//" * 400_000, "/" * 900_000])
def test_no_input_takes_long(tmp_path, text):
    with pytest.raises(ConfigError):
        written(tmp_path, text)


def test_what_json_allows_and_comments_do_not_touch(tmp_path):
    text = '\ufeff{"comment": "// /* # \\" \\\\", "fps": 16, // "\n "fps": 24 /**/, "seed": 1e3, # "fps": 2,\n "图": "中文"}'
    configuration = written(tmp_path, text)
    values = {note.key: note.value for note in configuration.notes}
    assert values == {"comment": '// /* # " \\', "fps": 24, "seed": 1000.0, "图": "中文"}
    assert text_of(configuration, "fps").endswith("(this key stands more than once; the last one counts)")


def test_keys_inside_a_lora_that_nobody_knows_are_listed(tmp_path):
    configuration = written(tmp_path, {"lora_configs": [{"path": "x", "name": "anything", "alpha": 4}]})
    assert becomes(configuration)["lora_configs[0].alpha"] == config_keys.UNKNOWN
    assert configuration.loras == (Lora("x", 1.0, None),)


def test_the_table_has_each_key_once():
    names = [key for _, _, keys in config_keys._GROUPS for key in keys]
    names += [*config_keys.READS, *config_keys.QWEN_KEYS, *config_keys.ABOUT_VALUES]
    assert len(names) == len(set(names))
