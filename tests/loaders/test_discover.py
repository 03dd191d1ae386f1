import pytest
from lightquant.errors import DiscoveryError
from lightquant.loaders.discover import find


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
    import shutil

    path = tmp_path / "model.safetensors"
    shutil.copy(models / "diffusion_models" / "wan_t2v.safetensors", path)
    with pytest.raises(DiscoveryError):
        find("dit", ["int8-channel"], [str(path)], [])
    shutil.copy(models / "diffusion_models" / "wan_t2v_int8.safetensors", path)
    assert find("dit", ["int8-channel"], [str(path)], []) == str(path)
