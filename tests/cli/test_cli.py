import json

import pytest
from lightquant.cli import main
from lightquant.schemes import SCHEMES


def test_schemes_lists_all_with_reasons(capsys):
    assert main(["schemes", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SCHEMES)
    assert "no kernel for vllm yet" in out
    assert main(["schemes", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fp8-torch"]["runs"] is True


def test_an_unknown_device_is_an_error(capsys):
    assert main(["schemes", "--device", "nonsense"]) == 1
    assert "--device cpu" in capsys.readouterr().err


def test_inspect_says_what_files_are(models, capsys, tmp_path):
    (tmp_path / "empty.pth").touch()
    folder = models / "diffusion_models"
    assert main(["inspect", str(folder / "wan_t2v_fp8.safetensors"), str(folder / "wan_t2v.safetensors")]) == 0
    out = capsys.readouterr().out
    assert "Wan DiT, fp8-channel; schemes: fp8-vllm" in out
    assert "not quantized" in out
    assert main(["inspect", str(tmp_path / "empty.pth")]) == 1
    assert "it is empty" in capsys.readouterr().err


def test_no_command_is_a_usage_error():
    with pytest.raises(SystemExit):
        main([])
