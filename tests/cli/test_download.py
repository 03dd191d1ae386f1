"""`lightquant download` against a server on this machine."""

import os
import shutil
import subprocess
import sys

import pytest
from hub_server import hub_server
from lightquant.cli import main
from lightquant.cli.progress import Bar
from lightquant.loaders.catalogue import CATALOGUE

WANTED = CATALOGUE["models_clip_open-clip-xlm-roberta-large-vit-huge-14-int8.pth"]
SPLIT = CATALOGUE["wan2.2_i2v_A14b_low_noise_int8_lightx2v_4step_split"]
CONTENT = os.urandom(50_000)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    with hub_server() as hub:
        hub.files[WANTED.repository, WANTED.name] = CONTENT
        hub.files[SPLIT.repository, f"{SPLIT.name}/block_0.safetensors"] = CONTENT
        hub.files[SPLIT.repository, f"{SPLIT.name}/non_block.safetensors"] = CONTENT[1:]
        yield hub


def test_without_a_name_it_lists(capsys):
    assert main(["download"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1].rstrip("/") for line in lines] == [*CATALOGUE]
    assert main(["download", "--component", "t5", "--format", "fp8-channel"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split() == ["t5", "fp8-channel", "text_encoders", "lightx2v/Encoders-Lightx2v", "models_t5_umt5-xxl-enc-fp8.pth"]
    assert main(["download", "--component", "dit", "--format", "float"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_it_fetches_into_a_folder(hub, tmp_path, capsys):
    assert main(["download", WANTED.name, "--to", str(tmp_path), "--endpoint", hub.endpoint]) == 0
    assert capsys.readouterr().out == f"{tmp_path / WANTED.name}\n"
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT
    (tmp_path / WANTED.name).write_bytes(b"mine")
    assert main(["download", WANTED.name, "--to", str(tmp_path), "--endpoint", hub.endpoint]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["download", WANTED.name, "--to", str(tmp_path), "--endpoint", hub.endpoint, "--force"]) == 0
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT


def test_dry_run(hub, tmp_path, capsys):
    arguments = ["download", SPLIT.name, "--to", str(tmp_path), "--endpoint", hub.endpoint]
    assert main([*arguments, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"{SPLIT.repository}: {SPLIT.name}, 97.7 KiB in 2 file(s), to {tmp_path / SPLIT.name}" in out
    assert "nothing was fetched" in out
    assert (hub.fetched(), list(tmp_path.iterdir())) == ([], [])
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.count("there already") == 2
    assert "\n0 bytes to fetch" in out


def test_the_bar_and_the_users_interrupt(hub, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    call = Bar.__call__

    def interrupt(self, what: str, done: int, total: int, start: int = 0) -> None:
        call(self, what, done, total, start)
        if done >= 20_000:
            raise KeyboardInterrupt

    arguments = ["download", WANTED.name, "--to", str(tmp_path), "--endpoint", hub.endpoint]
    with monkeypatch.context() as patch:
        patch.setattr(Bar, "__call__", interrupt)
        assert main(arguments) == 130
    assert "run it again and it goes on from there" in capsys.readouterr().err
    assert main(arguments) == 0
    err = capsys.readouterr().err
    assert "downloading: 100%" in err
    assert "checking: 100%" in err
    assert hub.fetched()[-1] == (WANTED.name, "bytes=20000-")


def test_into_a_comfyuis_own_folders(hub, tmp_path, capsys):
    """A copy of ComfyUI's folder_paths in a folder of this test's own."""
    source = os.environ["COMFYUI_PATH"]
    shutil.copy(os.path.join(source, "folder_paths.py"), tmp_path)  # a link would lead it to the real one's models
    for name in ("comfy", "utils", "comfy_api"):
        if os.path.exists(os.path.join(source, name)):
            (tmp_path / name).symlink_to(os.path.join(source, name))
    for name, folder in ((WANTED.name, "clip_vision"), (SPLIT.name, "diffusion_models")):
        assert main(["download", name, "--comfyui", str(tmp_path), "--endpoint", hub.endpoint]) == 0
        assert capsys.readouterr().out.strip() == os.path.realpath(tmp_path / "models" / folder / name)


def test_the_endpoint_comes_from_the_environment_where_none_is_given(hub, tmp_path):
    code = f"import sys; from lightquant.cli import main; sys.exit(main(['download', {WANTED.name!r}, '--to', {str(tmp_path)!r}]))"
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT


def test_errors(tmp_path, capsys, monkeypatch):
    assert main(["download", "absent.pth", "--to", str(tmp_path)]) == 1
    assert "has no absent.pth" in capsys.readouterr().err
    monkeypatch.delenv("COMFYUI_PATH")
    assert main(["download", WANTED.name]) == 1
    assert "name a folder with --to" in capsys.readouterr().err
