import json
import os
import sys

from lightquant.cli import main
from lightquant.kernels.checks import remembered
from lightquant.kernels.checks.finding import Finding
from lightquant.schemes import SCHEMES

DOCTOR = ["doctor", "--device", "cpu"]


def test_text_names_every_scheme_and_where_findings_are_kept(capsys):
    assert main(DOCTOR) == 0
    said = capsys.readouterr()
    assert all(f"\n{name} " in said.out for name in SCHEMES)
    assert "needs an NVIDIA GPU, this is the CPU" in said.out
    assert str(remembered.path()) in said.out
    assert str(remembered.path()).startswith(os.environ["XDG_CACHE_HOME"])
    assert said.err == ""


def test_json_knows_the_comfyui_that_is_named(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_PATH")
    (tmp_path / "comfyui_version.py").write_text('# made\n__version__ = "9.8.7"\n')
    assert main([*DOCTOR, "--json", "--comfyui", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["checked"], report["environment"]["comfyui"]) == (True, "9.8.7")
    assert main([*DOCTOR, "--json", "--comfyui", str(tmp_path / "nowhere")]) == 0
    assert json.loads(capsys.readouterr().out)["environment"]["comfyui"] == ""


def test_recheck_forgets(capsys):
    remembered.remember({"a": Finding(True, "it was right")})
    assert main(DOCTOR) == 0
    assert remembered.recall("a")
    assert main([*DOCTOR, "--recheck"]) == 0
    assert remembered.recall("a") is None


def test_what_cant_be_forgotten_is_an_error(capsys):
    remembered.path().mkdir(parents=True)
    assert main([*DOCTOR, "--recheck"]) == 1
    assert "can't be forgotten" in capsys.readouterr().err


def test_a_terminal_sees_progress_and_then_a_clean_line(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(DOCTOR) == 0
    said = capsys.readouterr().err
    assert all(f": {name}" in said for name in SCHEMES)
    assert said.endswith("\r\033[K")


def test_an_unknown_device_is_an_error(capsys):
    assert main(["doctor", "--device", "nonsense"]) == 1
    assert "--device cpu" in capsys.readouterr().err
