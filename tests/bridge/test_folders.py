"""What the dropdowns list, and what a name from one leads to."""

import os

import pipeline
import pytest
import small_models
import torch
from lightquant.bridge import folders
from lightquant.errors import CheckpointError


@pytest.fixture
def tensors(floats):
    return small_models.quantized(floats["dit"], "dit", "int8-channel")


@pytest.fixture
def lightx2v(monkeypatch, tmp_path):
    """models/lightx2v, where LightX2V's ComfyUI wrapper keeps its Wan folders."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    folder = tmp_path / "models" / "lightx2v"
    folder.mkdir(parents=True)
    return folder


def test_a_checkpoint_in_parts_is_one_entry(models, tensors, tmp_path, add_folder):
    add_folder("diffusion_models", tmp_path)
    small_models.save_split(tensors, tmp_path / "a_split")
    small_models.save_chunked(tensors, tmp_path / "deep" / "chunks", size=20)
    small_models.save(tensors, tmp_path / "deep" / "alone.safetensors")
    names = folders.checkpoint_names("dit")
    assert {"a_split", os.path.join("deep", "chunks"), os.path.join("deep", "alone.safetensors"), "wan_t2v_int8.safetensors"} <= set(names)
    assert not [name for name in names if "block_" in name or "_part" in name or "index" in name]
    assert folders.full_path("dit", "a_split") == str(tmp_path / "a_split")


def test_parts_may_lie_in_a_model_folder_itself(models, tensors, tmp_path, add_folder):
    small_models.save_split(tensors, tmp_path / "unet")
    add_folder("diffusion_models", tmp_path / "unet")
    assert os.curdir in folders.checkpoint_names("dit")


@pytest.mark.parametrize("name", ["../secret", "/etc", "a_split/../../secret", "lightx2v/../../secret", "..\\secret"])
def test_no_name_leads_out_of_the_folders(models, tmp_path, add_folder, lightx2v, name):
    (tmp_path / "unet").mkdir()
    (tmp_path / "secret").mkdir()
    add_folder("diffusion_models", tmp_path / "unet")
    with pytest.raises(CheckpointError, match="found no such file"):
        folders.full_path("dit", name)


def test_lightx2vs_own_folder_is_looked_through(models, floats, tensors, lightx2v):
    wan = lightx2v / "Wan2.1-T2V-1.3B"
    small_models.save_split(tensors, wan / "wan_split")
    encoder = "models_t5_umt5-xxl-enc-fp8.pth"
    small_models.save(small_models.quantized(floats["t5"], "t5", "fp8-channel"), wan / encoder)
    split, t5 = (os.path.join("lightx2v", "Wan2.1-T2V-1.3B", name) for name in ("wan_split", encoder))
    assert split in folders.checkpoint_names("dit")
    assert t5 in folders.checkpoint_names("t5")
    assert t5 not in folders.checkpoint_names("dit")
    assert folders.full_path("dit", split) == str(wan / "wan_split")
    positive, negative = pipeline.conditioning(1), pipeline.conditioning(2)
    latents = [pipeline.sample(pipeline.load_dit(name), positive, negative) for name in (split, "wan_t2v_int8.safetensors")]
    assert torch.equal(*latents)
    assert str(lightx2v) in folders.searched_folders("t5")


def test_a_name_hides_no_safetensors_and_pickles_only_in_lightx2vs_folder(models, tensors, lightx2v, tmp_path, add_folder):
    """As on the shell: tests/cli/test_find.py."""
    add_folder("diffusion_models", tmp_path / "unet")
    name = "wan2.2_t2v_lora_merged_int8.safetensors"
    for folder in (lightx2v, tmp_path / "unet"):
        small_models.save(tensors, folder / "Wan" / name)
        small_models.save(tensors, folder / "Wan" / "umt5.pth")
    names = set(folders.checkpoint_names("dit"))
    assert {os.path.join("lightx2v", "Wan", name), os.path.join("Wan", name), os.path.join("Wan", "umt5.pth")} <= names
    assert os.path.join("lightx2v", "Wan", "umt5.pth") not in names


def test_lightx2vs_folder_is_searched_only_where_it_is(models):
    assert all("lightx2v" not in folder for folder in folders.searched_folders("dit"))
