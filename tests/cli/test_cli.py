import json

import pytest
from lightquant.cli import main, schemes
from lightquant.schemes import SCHEMES


def test_schemes_lists_all_with_reasons(capsys):
    assert main(["schemes", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SCHEMES)
    assert "it needs an NVIDIA GPU, this is the CPU" in out
    assert main(["schemes", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fp8-torch"]["runs"] is True


def test_an_unknown_device_is_an_error(capsys):
    assert main(["schemes", "--device", "nonsense"]) == 1
    assert "--device cpu" in capsys.readouterr().err


def test_no_command_is_a_usage_error():
    with pytest.raises(SystemExit):
        main([])


def test_what_the_system_forbids_is_one_line(capsys, monkeypatch, tmp_path):
    def forbidden(options):
        raise PermissionError(13, "Permission denied", "/models/locked")

    monkeypatch.setattr(schemes, "run", forbidden)
    assert main(["schemes"]) == 1
    assert capsys.readouterr().err == "lightquant: /models/locked could not be read or written: Permission denied. See that you may.\n"
