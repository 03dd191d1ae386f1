import json

import pytest
from lightquant.cli import main
from PIL import Image


def test_it_says_what_files_are(models, capsys, tmp_path):
    folder = models / "diffusion_models"
    assert main(["inspect", str(folder / "wan_t2v_fp8.safetensors"), str(folder / "wan_t2v.safetensors"), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "Wan DiT: Wan2.1 T2V; " in out
    assert "2 blocks of width 256" in out
    assert "fp8-channel, 20 quantized layers" in out
    assert "it needs an NVIDIA GPU, this is the CPU" in out
    assert "not quantized in one of LightQuant's formats" in out
    assert "not read;" in out


def test_what_cant_be_read_is_named_and_the_rest_still_said(models, capsys, tmp_path):
    (tmp_path / "empty.pth").touch()
    good = str(models / "diffusion_models" / "wan_t2v_int8.safetensors")
    assert main(["inspect", str(tmp_path / "empty.pth"), good, "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert "it is empty" in said.err
    assert "int8-channel" in said.out


def test_data_json_and_picture(models, capsys, tmp_path):
    path = str(models / "clip_vision" / "models_clip_open-clip-xlm-roberta-large-vit-huge-14-fp8.pth")
    picture = tmp_path / "out.png"
    assert main(["inspect", path, "--data", "--json", "--picture", str(picture), "--device", "cpu"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["component"], report["family"]["name"], report["device"]) == ("clip", "ViT", "cpu")
    assert report["data"]["findings"] == []
    assert Image.open(picture).width == 1440


@pytest.mark.parametrize("name", ["/nowhere/out.png", "out.what"])
def test_a_picture_that_cant_be_written(models, capsys, name):
    assert main(["inspect", str(models / "diffusion_models" / "wan_t2v_int8.safetensors"), "--picture", name, "--device", "cpu"]) == 1
    assert "can't be written" in capsys.readouterr().err


def test_one_picture_is_for_one_path(capsys):
    assert main(["inspect", "x.pth", "y.pth", "--picture", "z.png"]) == 1
    assert "one path" in capsys.readouterr().err


def test_an_unknown_device_is_an_error(capsys):
    assert main(["inspect", "x.pth", "--device", "nonsense"]) == 1
    assert "--device cpu" in capsys.readouterr().err
