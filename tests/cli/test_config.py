import json
import shutil
from pathlib import Path

import pytest
from lightquant.cli import main


@pytest.fixture
def folder(models, tmp_path):
    """A model folder with an int8 DiT and text encoder."""
    (tmp_path / "int8").mkdir()
    shutil.copy(models / "diffusion_models" / "wan_i2v_int8.safetensors", tmp_path)
    shutil.copy(models / "text_encoders" / "models_t5_umt5-xxl-enc-int8.pth", tmp_path / "int8")
    return tmp_path


def config(folder: Path, values: dict, *more: str) -> int:
    (folder / "wan.json").write_text("# mine\n" + json.dumps(values))
    return main(["config", str(folder / "wan.json"), "--model-path", str(folder), "--task", "i2v", *more])


VALUES = {
    "dit_quantized": True, "dit_quant_scheme": "int8-vllm", "t5_quantized": True, "t5_quant_scheme": "int8", "infer_steps": 40, "parallel": False,
    "lora_configs": [{"path": "elsewhere/wan_i2v_int8.safetensors", "strength": 0.5}],
}  # fmt: skip


def test_it_says_what_a_configuration_describes(folder, capsys):
    assert config(folder, VALUES) == 0
    out = capsys.readouterr().out
    assert "wan.json, task i2v: one model" in out
    assert f"MODEL: Wan DiT, scheme int8-vllm (int8-channel); {folder / 'wan_i2v_int8.safetensors'} (in the model folder)" in out
    assert f"CLIP: umt5 text encoder, scheme int8-vllm (int8-channel); {folder / 'int8' / 'models_t5_umt5-xxl-enc-int8.pth'}" in out
    assert "CLIP_VISION: CLIP vision encoder, not quantized in this configuration: load it with ComfyUI's own node Load CLIP Vision; not found" in out
    assert f"LoRA on the model at 0.5: {folder / 'wan_i2v_int8.safetensors'} (by its name" in out
    assert "set in other nodes:\n  infer_steps = 40: steps of KSampler\n" in out
    assert "means nothing here:\n  parallel = false: " in out


def test_json(folder, capsys):
    assert config(folder, VALUES, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [part["scheme"] for part in said["parts"]] == ["int8-vllm", "int8-vllm", None]
    assert [part["format"] for part in said["parts"]] == ["int8-channel", "int8-channel", None]
    assert {entry["key"] for entry in said["keys"]} == set(VALUES)
    assert said["refused"] == []
    assert said["loras"][0]["strength"] == 0.5


def test_a_path_of_the_file_comes_before_the_model_folder(folder, capsys):
    (folder / "mine").mkdir()
    shutil.copy(folder / "wan_i2v_int8.safetensors", folder / "mine" / "a.safetensors")
    assert config(folder, {**VALUES, "dit_quantized_ckpt": "mine/a.safetensors"}) == 0
    assert f"{folder / 'mine' / 'a.safetensors'} (relative to the configuration)" in capsys.readouterr().out


def test_what_is_refused_gives_1(folder, capsys):
    assert config(folder, {**VALUES, "dit_quant_scheme": "mxfp8"}) == 1
    captured = capsys.readouterr()
    assert "lightquant: LightQuant has no scheme mxfp8" in captured.err
    assert "infer_steps = 40" in captured.out


def test_errors(folder, capsys):
    assert config(folder, {"dit_quantized": 3}) == 1
    assert "line 2, column 2" in capsys.readouterr().err
    assert main(["config", str(folder / "wan.json"), "--model-path", str(folder / "absent"), "--task", "i2v"]) == 1
    assert "--model-path" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["config", str(folder / "wan.json"), "--model-path", str(folder), "--task", "x2v"])
