"""`lightquant find`: the same answers as the loaders', in words and as JSON, from a real ComfyUI's folders."""

import json
import os

import pytest
import small_models
from lightquant.cli import main


@pytest.fixture
def tensors(floats):
    return small_models.quantized(floats["dit"], "dit", "int8-channel")


def answers(capsys, *arguments: str) -> dict:
    assert main(["find", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_in_given_folders(tensors, tmp_path, capsys):
    small_models.save_split(tensors, tmp_path / "wan_split")
    found = answers(capsys, "--folder", str(tmp_path))
    assert found["dit"]["checkpoints"] == [{"path": str(tmp_path / "wan_split"), "format": "int8-channel", "expert": None}]
    assert found["dit"]["taken"] == {"find it": str(tmp_path / "wan_split")}
    assert "looked for a umt5 text encoder" in found["t5"]["taken"]["find it"]
    fp8 = answers(capsys, "--folder", str(tmp_path), "--scheme", "fp8-sgl")["dit"]["taken"]["find it"]
    assert "stored as fp8-channel" in fp8
    assert "wan_split (int8-channel)" in fp8


def test_experts(tensors, tmp_path, capsys):
    for expert in ("high", "low"):
        small_models.save(tensors, tmp_path / f"{expert}_noise_model" / "diffusion_pytorch_model.safetensors")
    taken = answers(capsys, "--folder", str(tmp_path))["dit"]["taken"]
    assert taken["find it, high-noise"] == str(tmp_path / "high_noise_model" / "diffusion_pytorch_model.safetensors")
    assert taken["find it, low-noise"] == str(tmp_path / "low_noise_model" / "diffusion_pytorch_model.safetensors")
    assert "with the pair's node" in taken["find it"]


def test_a_name_hides_no_safetensors_and_pickles_only_in_lightx2vs_folder(models, tensors, tmp_path, capsys):
    """As in the dropdowns: tests/bridge/test_folders.py."""
    name = "wan2.2_t2v_lora_merged_int8.safetensors"
    for folder in ("lightx2v", "unet"):
        small_models.save(tensors, tmp_path / folder / "Wan" / name)
        small_models.save(tensors, tmp_path / folder / "Wan" / "umt5.pth")
    seen = {
        folder: [os.path.basename(each["path"]) for each in answers(capsys, "--folder", str(tmp_path / folder))["dit"]["checkpoints"]]
        for folder in ("lightx2v", "unet")
    }
    assert seen == {"lightx2v": [name], "unet": ["umt5.pth", name]}


def test_in_comfyuis_own_folders_with_extra_model_paths(tensors, tmp_path, capsys):
    """A copy of ComfyUI's folder_paths in a folder of this test's own, as a user's ComfyUI has it."""
    source = os.environ["COMFYUI_PATH"]
    comfyui = tmp_path / "ComfyUI"
    comfyui.mkdir()
    for name in ("folder_paths.py", "comfy", "utils", "comfy_api"):
        if os.path.exists(os.path.join(source, name)):
            (comfyui / name).symlink_to(os.path.join(source, name))
    extra = tmp_path / "elsewhere"
    (comfyui / "extra_model_paths.yaml").write_text(f"mine:\n  base_path: {extra}\n  diffusion_models: unet\n", encoding="utf-8")
    small_models.save(tensors, extra / "unet" / "wan_int8.safetensors")
    found = answers(capsys, "--comfyui", str(comfyui))
    assert found["dit"]["taken"]["find it"] == str(extra / "unet" / "wan_int8.safetensors")
    assert main(["find", "--comfyui", str(comfyui)]) == 0
    text = capsys.readouterr().out
    assert f"{extra / 'unet' / 'wan_int8.safetensors'}  int8-channel" in text
    assert "find it: LightQuant looked for a CLIP vision encoder" in text


def test_without_a_comfyui(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("COMFYUI_PATH")
    assert main(["find"]) == 1
    assert "--comfyui DIR" in capsys.readouterr().err
    (tmp_path / "folder_paths.py").write_text("raise SystemExit('broken')")
    assert main(["find", "--comfyui", str(tmp_path)]) == 1
    assert "did not say where its models are (broken)" in capsys.readouterr().err


def test_a_mixed_file_is_shown_with_all_its_formats(floats, tmp_path, capsys):
    tensors = small_models.mixed(floats["dit"], "dit", lambda key: "fp8-channel" if "ffn" in key else "int4-g128")
    path = str(small_models.save(tensors, tmp_path / "mixed.safetensors"))
    assert main(["find", "--folder", str(tmp_path)]) == 0
    assert f"{path}  fp8-channel + int4-g128" in capsys.readouterr().out
    assert answers(capsys, "--folder", str(tmp_path), "--scheme", "fp8-sgl")["dit"]["taken"] == {"find it": path}
    assert "found none" in answers(capsys, "--folder", str(tmp_path), "--scheme", "int8-torch")["dit"]["taken"]["find it"]
