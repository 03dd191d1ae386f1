"""What a graph may read through a configuration: ComfyUI's model folders and its input folder, nothing else."""

import json
import os
from pathlib import Path

import folder_paths
import pytest
from config_node import INT8, copy, run
from lightquant.bridge.config_folders import may_read
from lightquant.bridge.record import record_of
from lightquant.errors import ConfigError


def secret(tmp_path: Path, models: Path) -> Path:
    """A perfectly good checkpoint outside ComfyUI's folders, under a name that none inside has."""
    return copy(models / "diffusion_models" / "wan_i2v_int8.safetensors", tmp_path / "elsewhere" / "secret.safetensors")


KEYS = {
    "dit_quantized_ckpt": lambda path: {"dit_quantized_ckpt": path},
    "lora": lambda path: {"lora_configs": [{"path": path}]},
    "t5_quantized_ckpt": lambda path: {"t5_quantized_ckpt": path},
    "high_noise_quantized_ckpt": lambda path: {"high_noise_quantized_ckpt": path, "low_noise_quantized_ckpt": path, "use_image_encoder": False},
}


@pytest.mark.parametrize("key", list(KEYS))
def test_no_path_leads_out_and_none_tells_what_is_there(wan, models, tmp_path, key):
    there = secret(tmp_path, models)
    said = []
    for path in (there, there.with_name("nothing.safetensors")):
        for form in (str(path), os.path.relpath(path, folder_paths.get_input_directory()), f"sub/../../elsewhere/{path.name}", f"file://{path}"):
            with pytest.raises(ConfigError) as caught:
                run({**INT8, **KEYS[key](form)})
            assert "\n" not in str(caught.value)
            said.append(str(caught.value).replace(path.name, "NAME"))
    assert said[:4] == said[4:]
    assert "leads out of the folders that may be read" in said[0]


ODD = [r"\\server\share\x.safetensors", r"C:\models\x.safetensors", "//server/share/x.safetensors", "CON", "x" * 5000, "~/x"]


@pytest.mark.parametrize("path", ODD)
def test_odd_paths_are_not_found(wan, path):
    with pytest.raises(ConfigError, match="found no file for MODEL"):
        run({**INT8, "dit_quantized_ckpt": path})


def test_a_tokenizer_outside_is_not_read(wan, tmp_path):
    copy(wan / "google" / "umt5-xxl" / "spiece.model", tmp_path / "elsewhere")
    _, _, clip, _, text = run({**INT8, "t5_tokenizer_path": str(tmp_path / "elsewhere")}).args
    assert f"tokenizer: {wan / 'google' / 'umt5-xxl' / 'spiece.model'} (as there is no {tmp_path / 'elsewhere'} here, in the model folder)" in text
    assert record_of(clip.patcher).tokenizer == str(wan / "google" / "umt5-xxl" / "spiece.model")


def test_links_that_the_owner_placed_are_followed(wan, models, tmp_path):
    (wan / "linked.safetensors").symlink_to(secret(tmp_path, models))
    assert record_of(run({**INT8, "dit_quantized_ckpt": "linked.safetensors"}).args[0]).file == str(wan / "linked.safetensors")


@pytest.mark.parametrize("name", ["../elsewhere/wan.json", "input/../../elsewhere/wan.json", "/etc/passwd", "input/absent.json", "wan.json"])
def test_only_listed_configurations_and_folders_are_opened(wan, tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "wan.json").write_text(json.dumps(INT8))
    with pytest.raises(ConfigError, match="found no configuration"):
        run(config=name)
    with pytest.raises(ConfigError, match="found no model folder"):
        run(INT8, model_folder=name)


def test_what_a_graph_may_read(wan, tmp_path):
    assert may_read(str(wan / "x"))
    assert may_read(os.path.join(folder_paths.get_input_directory(), "sub", "x"))
    for path in (tmp_path / "x", tmp_path / "input-other" / "x", Path(folder_paths.get_folder_paths("custom_nodes")[0], "pack", "secrets.json")):
        assert not may_read(str(path))
    assert not may_read(folder_paths.get_input_directory())
