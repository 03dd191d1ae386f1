import shutil

import pytest
import small_models
import torch
from lightquant.errors import DiscoveryError
from lightquant.loaders.discover import find
from lightquant.loaders.identity import Identity, identify_path


def listing(models, folder: str) -> list[str]:
    return [str(path) for path in sorted((models / folder).rglob("*")) if path.is_file()]


def wan(models, *names: str) -> list[str]:
    return [str(models / "diffusion_models" / name) for name in names]


def test_one_candidate_is_taken(models):
    files = wan(models, "wan_t2v.safetensors", "wan_t2v_fp8.safetensors", "wan_t2v_int8.safetensors")
    assert find("dit", ["fp8-channel"], files, ["here"]) == files[1]
    assert find("t5", ["int8-channel"], listing(models, "text_encoders"), ["here"]).endswith("enc-int8.pth")
    assert find("clip", ["fp8-channel"], listing(models, "clip_vision"), ["here"]).endswith("14-fp8.pth")


def test_several_are_all_listed(models):
    files = wan(models, "wan_t2v_fp8.safetensors", "wan_i2v_fp8.safetensors")
    with pytest.raises(DiscoveryError, match=r"looked for a Wan DiT stored as fp8-channel in /a, /b and found 2") as caught:
        find("dit", ["fp8-channel"], files, ["/a", "/b"])
    assert all(path in str(caught.value) for path in files)


def test_none_says_what_there_is(models, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no")
    with pytest.raises(DiscoveryError, match=r"found none; of that model there is only: wan_t2v.safetensors \(not quantized\)"):
        find("dit", ["fp8-channel"], [*wan(models, "wan_t2v.safetensors"), str(broken)], ["/a"])
    with pytest.raises(DiscoveryError, match=r"none of the 1 model files there is that model"):
        find("clip", ["fp8-channel"], wan(models, "wan_t2v.safetensors"), ["/a"])
    with pytest.raises(DiscoveryError, match=r"wan_t2v_int8.safetensors \(int8-channel\)"):
        find("dit", ["fp8-channel"], wan(models, "wan_t2v_int8.safetensors"), [])


def test_a_file_that_changes_is_looked_at_again(models, tmp_path):
    path = tmp_path / "model.safetensors"
    shutil.copy(models / "diffusion_models" / "wan_t2v.safetensors", path)
    with pytest.raises(DiscoveryError):
        find("dit", ["int8-channel"], [str(path)], [])
    shutil.copy(models / "diffusion_models" / "wan_t2v_int8.safetensors", path)
    assert find("dit", ["int8-channel"], [str(path)], []) == str(path)


def test_a_split_folder_beside_its_file_is_the_same_model(floats, tmp_path):
    tensors = small_models.quantized(floats["dit"], "dit", "int8-channel")
    paths = [str(small_models.save(tensors, tmp_path / "wan.safetensors")), str(small_models.save_split(tensors, tmp_path / "wan_split"))]
    assert find("dit", ["int8-channel"], paths, []) == paths[0]
    assert find("dit", ["int8-channel"], paths[1:], []) == paths[1]
    other = str(small_models.save_split(tensors, tmp_path / "other_split"))
    with pytest.raises(DiscoveryError, match="found 2"):
        find("dit", ["int8-channel"], [*paths, other], [])


def test_of_copies_in_a_model_folder_the_one_is_taken_that_lightx2v_would(models, tmp_path):
    name = "models_t5_umt5-xxl-enc-int8.pth"
    paths = []
    for folder in ("", "original", "int8", "distill_models"):
        (tmp_path / folder).mkdir(exist_ok=True)
        paths.append(str(shutil.copy(models / "text_encoders" / name, tmp_path / folder / name)))
    assert find("t5", ["int8-channel"], paths, []) == str(tmp_path / "distill_models" / name)
    assert find("t5", ["int8-channel"], paths[:3], []) == str(tmp_path / "int8" / name)
    assert find("t5", ["int8-channel"], paths[:1], []) == str(tmp_path / name)
    elsewhere = tmp_path / "second model"
    elsewhere.mkdir()
    with pytest.raises(DiscoveryError, match="found 2"):
        find("t5", ["int8-channel"], [*paths, str(shutil.copy(paths[0], elsewhere))], [])


def test_files_of_one_name_may_be_different_models(models, tmp_path):
    def put(source: str, folder: str, name: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        return str(shutil.copy(models / source, tmp_path / folder / name))

    dits = [put("diffusion_models/wan_t2v_fp8.safetensors", folder, "wan.safetensors") for folder in ("fp8", "distill_fp8")]
    dits.append(put("diffusion_models/wan_t2v_int8.safetensors", "int8", "wan.safetensors"))
    with pytest.raises(DiscoveryError, match="found 3"):
        find("dit", ["fp8-channel", "int8-channel"], dits, [])
    encoder = "text_encoders/models_t5_umt5-xxl-enc-{}.pth"
    unpublished = [put(encoder.format("fp8"), folder, "umt5.pth") for folder in ("fp8", "distill_fp8")]
    with pytest.raises(DiscoveryError, match="found 2"):
        find("t5", ["fp8-channel"], unpublished, [])
    formats = [put(encoder.format(name), name, "models_t5_same.pth") for name in ("fp8", "int8")]
    with pytest.raises(DiscoveryError, match="found 2"):
        find("t5", ["fp8-channel", "int8-channel"], formats, [])


def test_a_mixed_file_fits_where_some_of_its_layers_do(models, floats, tmp_path):
    tensors = small_models.mixed(floats["dit"], "dit", lambda key: "fp8-channel" if "ffn" in key else "int4-g128")
    path = str(small_models.save(tensors, tmp_path / "mixed.safetensors"))
    assert identify_path(path) == Identity("dit", ("fp8-channel", "int4-g128"))
    assert identify_path(path).format == "fp8-channel + int4-g128"
    for formats in (["fp8-channel"], ["int4-g128"], ["fp8-b128", "int4-g128"]):
        assert find("dit", formats, [path], []) == path
    with pytest.raises(DiscoveryError, match=r"mixed.safetensors \(fp8-channel \+ int4-g128\)"):
        find("dit", ["int8-channel"], [path], [])
    with pytest.raises(DiscoveryError, match="found 2"):
        find("dit", ["fp8-channel"], [path, *wan(models, "wan_t2v_fp8.safetensors")], [])
    with pytest.raises(DiscoveryError, match="found none"):
        find("dit", [], [path], [])


def test_a_file_with_layers_that_are_not_ours_beside_ours_is_none_of_ours(floats, tmp_path):
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    tensors["blocks.0.ffn.0.weight"] = torch.zeros(512, 128, dtype=torch.int16)
    assert identify_path(str(small_models.save(tensors, tmp_path / "odd.safetensors"))).formats == ()


def test_one_expert_of_a_pair(floats, tmp_path):
    tensors = small_models.quantized(floats["dit"], "dit", "int8-channel")
    paths = [str(small_models.save(tensors, tmp_path / f"{expert}_noise_model" / "model.safetensors")) for expert in ("high", "low")]
    assert [find("dit", ["int8-channel"], paths, [], expert) for expert in ("high", "low")] == paths
    with pytest.raises(DiscoveryError, match="a low-noise Wan DiT"):
        find("dit", ["int8-channel"], paths[:1], [], "low")


def test_an_incomplete_folder_is_no_candidate(floats, tmp_path):
    folder = small_models.save_split(small_models.quantized(floats["dit"], "dit", "int8-channel"), tmp_path / "wan_split")
    assert find("dit", ["int8-channel"], [str(folder)], []) == str(folder)
    (folder / "block_1.safetensors").unlink()
    with pytest.raises(DiscoveryError, match="found none"):
        find("dit", ["int8-channel"], [str(folder)], [])
