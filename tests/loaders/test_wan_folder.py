"""LightX2V's model folders: what is found in them, in which order, and what an error says."""

import shutil
from pathlib import Path

import pytest
import small_models
from lightquant.errors import DiscoveryError
from lightquant.loaders.wan_folder import has_experts, looks_like_one, tokenizer_in
from lightquant.loaders.wan_search import find_in

T5, CLIP = "models_t5_umt5-xxl-enc-{}.pth", "models_clip_open-clip-xlm-roberta-large-vit-huge-14{}.pth"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def dit(models: Path, tag: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(models / "diffusion_models" / f"wan_t2v{tag}.safetensors", target))


def found(folder: Path, *wanted: str | None) -> str:
    return Path(find_in(str(folder), *wanted)).relative_to(folder).as_posix()


def test_encoders_are_taken_in_lightx2vs_order(tmp_path):
    folders = ["distill_int8", "distill_fp8", "distill_models", "int8", "fp8", "original"]
    names = [f"{folder}/{T5.format('fp8')}" for folder in folders] + [T5.format("fp8")]
    put(tmp_path, *names, T5.format("int8"), T5.format("bf16"))
    for name in names:
        assert found(tmp_path, "t5", "fp8-channel") == name
        (tmp_path / name).unlink()
    assert found(tmp_path, "t5", "int8-channel") == T5.format("int8")
    assert found(tmp_path, "t5", None) == T5.format("bf16")


def test_the_image_encoder_has_an_older_name_too(tmp_path):
    put(tmp_path, "fp8/clip-fp8.pth", CLIP.format("-int8"), CLIP.format(""))
    assert found(tmp_path, "clip", "fp8-channel") == "fp8/clip-fp8.pth"
    assert found(tmp_path, "clip", "int8-channel") == CLIP.format("-int8")
    assert found(tmp_path, "clip", None) == CLIP.format("")
    put(tmp_path, f"fp8/{CLIP.format('-fp8')}")
    assert found(tmp_path, "clip", "fp8-channel") == f"fp8/{CLIP.format('-fp8')}"


def test_an_error_lists_where_it_looked_and_what_is_there(tmp_path):
    put(tmp_path, f"int8/{T5.format('int8')}")
    with pytest.raises(DiscoveryError) as caught:
        find_in(str(tmp_path), "t5", "fp8-channel")
    for part in ("umt5 text encoder stored as fp8-channel", str(tmp_path), "distill_int8, distill_fp8", f"int8/{T5.format('int8')}"):
        assert part in str(caught.value)
    with pytest.raises(DiscoveryError, match=r"found none\. Put it there"):
        find_in(str(tmp_path / "absent"), "t5", "fp8-channel")


def test_a_dit_is_told_by_its_content(models, tmp_path):
    dit(models, "_int8", tmp_path / "a.safetensors")
    dit(models, "", tmp_path / "b.safetensors")
    dit(models, "_fp8", tmp_path / "fp8" / "c.safetensors")
    assert found(tmp_path, "dit", "int8-channel") == "a.safetensors"
    assert found(tmp_path, "dit", None) == "b.safetensors"
    assert found(tmp_path, "dit", "fp8-channel") == "fp8/c.safetensors"
    dit(models, "_int8", tmp_path / "again.safetensors")
    with pytest.raises(DiscoveryError, match=r"found 2 in .*: a.safetensors, again.safetensors"):
        find_in(str(tmp_path), "dit", "int8-channel")
    with pytest.raises(DiscoveryError, match=r"b.safetensors \(not quantized\).*c.safetensors \(fp8-channel\)"):
        find_in(str(tmp_path), "dit", "int4-g128")


def test_a_dit_is_the_folders_own_before_a_subfolders(models, tmp_path):
    dit(models, "_fp8", tmp_path / "distill_fp8" / "wan2.1_distill_fp8.safetensors")
    assert found(tmp_path, "dit", "fp8-channel") == "distill_fp8/wan2.1_distill_fp8.safetensors"
    dit(models, "_fp8", tmp_path / "fp8" / "wan2.1_distill_fp8.safetensors")
    with pytest.raises(DiscoveryError, match=r"found 2 in .*: distill_fp8/wan2.1_distill_fp8.safetensors, fp8/wan2.1_distill_fp8.safetensors"):
        find_in(str(tmp_path), "dit", "fp8-channel")
    dit(models, "_fp8", tmp_path / "wan2.1_base_fp8.safetensors")
    assert found(tmp_path, "dit", "fp8-channel") == "wan2.1_base_fp8.safetensors"


def test_experts_are_the_folders_own_before_a_subfolders(models, tmp_path):
    for place in ("distill_fp8", "."):
        for expert in ("high", "low"):
            dit(models, "_fp8", tmp_path / place / f"{expert}_noise_model" / "x.safetensors")
    assert found(tmp_path, "dit", "fp8-channel", "low") == "low_noise_model/x.safetensors"


def test_a_file_with_a_parts_name_is_a_file(models, tmp_path):
    dit(models, "_fp8", tmp_path / "wan_part2.safetensors")
    assert found(tmp_path, "dit", "fp8-channel") == "wan_part2.safetensors"


def test_a_checkpoint_in_parts_is_its_folder(models, floats, tmp_path):
    small_models.save_split(small_models.quantized(floats["dit"], "dit", "int8-channel"), tmp_path / "int8")
    assert found(tmp_path, "dit", "int8-channel") == "int8"


@pytest.mark.parametrize(
    ("high", "low"),
    [
        ("high_noise_model/diffusion_pytorch_model.safetensors", "low_noise_model/diffusion_pytorch_model.safetensors"),
        ("distill_fp8/high_noise_model/x.safetensors", "distill_fp8/low_noise_model/x.safetensors"),
        ("wan2.2_i2v_A14b_high_noise_fp8.safetensors", "wan2.2_i2v_A14b_low_noise_fp8.safetensors"),
    ],
)
def test_experts(models, tmp_path, high, low):
    for place in (high, low):
        dit(models, "_fp8", tmp_path / place)
    assert found(tmp_path, "dit", "fp8-channel", "high") == high
    assert found(tmp_path, "dit", "fp8-channel", "low") == low
    assert has_experts(str(tmp_path)) == ("_noise_model" in high)
    with pytest.raises(DiscoveryError, match="high-noise Wan DiT stored as int8-channel"):
        find_in(str(tmp_path), "dit", "int8-channel", "high")
    with pytest.raises(DiscoveryError, match=r"there is only: .*\(fp8-channel, high-noise expert\), .*\(fp8-channel, low-noise expert\)"):
        find_in(str(tmp_path), "dit", "fp8-channel")


def test_an_expert_in_parts(models, floats, tmp_path):
    small_models.save_split(small_models.quantized(floats["dit"], "dit", "fp8-channel"), tmp_path / "high_noise_model")
    assert found(tmp_path, "dit", "fp8-channel", "high") == "high_noise_model"


def test_tokenizer_and_signs(tmp_path):
    assert tokenizer_in(str(tmp_path)) is tokenizer_in("") is None
    put(tmp_path, "google/umt5-xxl/spiece.model")
    assert tokenizer_in(str(tmp_path)) == str(tmp_path / "google" / "umt5-xxl" / "spiece.model")
    assert all(looks_like_one([name]) for name in ("config.json", "high_noise_model", T5.format("fp8"), CLIP.format(""), "x.safetensors"))
    assert not looks_like_one(["readme.md", "model.gguf", "clip-notes.txt"])
    assert not has_experts(str(tmp_path))
