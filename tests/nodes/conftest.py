"""LightX2V's model folders among ComfyUI's, and a user whose ComfyUI is Chinese."""

import json
import shutil

import pytest


@pytest.fixture
def wan(models, tmp_path, add_folder, monkeypatch):
    """ComfyUI's input folder, empty, and a LightX2V model folder "Wan" with everything quantized, one DiT; returns the model folder."""
    import folder_paths
    from config_node import copy

    folder = tmp_path / "roots" / "Wan"
    for name, place in {"wan_i2v_int8.safetensors": "", "wan_i2v_fp8.safetensors": "fp8"}.items():
        copy(models / "diffusion_models" / name, folder / place / name)
    for tag in ("fp8", "int8"):
        copy(models / "text_encoders" / f"models_t5_umt5-xxl-enc-{tag}.pth", folder / tag)
        copy(models / "clip_vision" / f"models_clip_open-clip-xlm-roberta-large-vit-huge-14-{tag}.pth", folder / tag)
    copy(models / "text_encoders" / "google" / "umt5-xxl" / "spiece.model", folder / "google" / "umt5-xxl")
    add_folder("diffusion_models", folder.parent)
    add_folder("loras", tmp_path / "loras")
    (tmp_path / "input").mkdir()
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    return folder


@pytest.fixture
def experts(wan):
    """Turns the model folder's DiT into two different experts."""
    import small_models

    shutil.rmtree(wan / "fp8")
    (wan / "wan_i2v_int8.safetensors").unlink()
    for expert, seed in {"high": 3, "low": 4}.items():
        tensors = small_models.quantized(small_models.dit(seed=seed), "dit", "int8-channel")
        small_models.save(tensors, wan / f"{expert}_noise_model" / "diffusion_pytorch_model.safetensors")
    return wan


@pytest.fixture
def chinese(tmp_path, monkeypatch, models):
    """ComfyUI's settings are those of a Chinese user, whom the nodes show their texts in the test too; returns their file."""
    import folder_paths
    from lightquant.bridge import language, settings, status

    monkeypatch.setattr(folder_paths, "get_user_directory", lambda: str(tmp_path / "user"))
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    monkeypatch.setattr(status, "in_users_language", language.in_users_language)
    file = tmp_path / "user" / "default" / "comfy.settings.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"Comfy.Locale": "zh", settings.ALLOW_DOWNLOAD: True}), encoding="utf-8")
    return file
