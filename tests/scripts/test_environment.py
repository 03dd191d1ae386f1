"""The set-up behind demo.py and test.py, in the parts that download nothing."""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest
from environment import Environment, SetUpError, add_arguments, where_line
from own import own_comfyui, own_python
from pack import describe_installed, install_missing, is_editable_from, link
from releases import RELEASES, extract, python_of
from steps import Step, alone

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    folder = tmp_path / "somewhere" / "ComfyUI"
    for name in ("comfy", "custom_nodes"):
        (folder / name).mkdir(parents=True)
    for name in ("main.py", "folder_paths.py"):
        (folder / name).touch()
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    return folder


def make_python(folder: Path, *modules: str) -> Path:
    """A virtual environment that can import modules of these names."""
    venv.create(folder, symlinks=os.name != "nt")
    for module in modules:
        (site_packages(folder) / f"{module}.py").touch()
    return python_of(folder)


def site_packages(folder: Path) -> Path:
    return next(folder.rglob("site-packages"))


def install_metadata(python: Path, name: str, version: str, origin: dict | None = None) -> None:
    info = site_packages(python.parents[1]) / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))


def make_step(tmp_path: Path) -> Step:
    return Step("Doing a thing", tmp_path / "logs" / "thing.log", "try another thing")


class TestFindingComfyUI:
    def test_without_any_hint_there_is_none(self, repository):
        assert own_comfyui(None, {}, repository) is None

    def test_the_argument_wins_over_the_variable(self, comfyui, repository):
        assert own_comfyui(comfyui, {"COMFYUI_PATH": "/nowhere"}, repository) == comfyui

    def test_the_variable_wins_over_the_parent_folder(self, comfyui, tmp_path):
        in_other = tmp_path / "other" / "custom_nodes" / "pack"
        assert own_comfyui(None, {"COMFYUI_PATH": str(comfyui)}, in_other) == comfyui

    def test_a_repository_in_custom_nodes_uses_that_comfyui(self, comfyui):
        assert own_comfyui(None, {}, comfyui / "custom_nodes" / "any-name") == comfyui

    def test_a_folder_that_is_no_comfyui_is_an_error_that_names_it_and_its_source(self, tmp_path, repository):
        with pytest.raises(SetUpError) as caught:
            own_comfyui(None, {"COMFYUI_PATH": str(tmp_path)}, repository)
        text = str(caught.value)
        assert str(tmp_path) in text
        assert "COMFYUI_PATH" in text
        assert "--comfyui PATH" in text


class TestFindingItsPython:
    @pytest.mark.parametrize("place", ["venv", ".venv", "../venv", "../.venv"])
    def test_a_virtual_environment_in_or_beside_comfyui_is_found(self, comfyui, place):
        python = make_python(Path(os.path.normpath(comfyui / place)), "torch")
        assert own_python(comfyui) == python

    @pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for python.exe")
    def test_the_portable_python_is_found(self, comfyui, tmp_path):
        real = make_python(tmp_path / "real", "torch")
        portable = comfyui.parent / "python_embeded" / "python.exe"
        portable.parent.mkdir()
        portable.write_text(f'#!/bin/sh\nexec "{real}" "$@"\n')
        portable.chmod(0o755)
        assert own_python(comfyui) == portable

    def test_one_without_torch_is_passed_over(self, comfyui):
        make_python(comfyui / "venv")
        python = make_python(comfyui.parent / "venv", "torch")
        assert own_python(comfyui) == python

    def test_none_with_torch_is_an_error_that_lists_where_was_looked(self, comfyui, tmp_path):
        bare = make_python(tmp_path / "bare")
        make_python(comfyui / "venv")
        call = "import sys, pathlib, own; own.own_python(pathlib.Path(sys.argv[1]))"
        done = subprocess.run([bare, "-c", call, comfyui], env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True)
        assert "SetUpError" in done.stderr
        assert f"{python_of(comfyui / 'venv')}: ModuleNotFoundError: No module named 'torch'" in done.stderr
        assert f"{python_of(comfyui / '.venv')}: not there" in done.stderr
        assert f"{bare}: ModuleNotFoundError" in done.stderr


class TestLink:
    def test_the_repository_becomes_a_custom_node_and_stays_one(self, comfyui, repository):
        for _ in range(2):
            link(repository, comfyui)
        assert [entry.name for entry in (comfyui / "custom_nodes").iterdir()] == ["lightquant"]
        assert (comfyui / "custom_nodes" / "lightquant").samefile(repository)

    def test_a_repository_that_lies_in_custom_nodes_is_not_linked_again(self, comfyui):
        inside = comfyui / "custom_nodes" / "ComfyUI-LightQuant"
        inside.mkdir()
        link(inside, comfyui)
        assert list((comfyui / "custom_nodes").iterdir()) == [inside]

    @pytest.mark.parametrize("exists", [True, False], ids=["another copy", "a dangling link"])
    def test_an_entry_that_leads_elsewhere_is_an_error_and_left_alone(self, comfyui, repository, tmp_path, exists):
        other = tmp_path / "other"
        entry = comfyui / "custom_nodes" / "lightquant"
        if exists:
            other.mkdir()
        entry.symlink_to(other, target_is_directory=True)
        with pytest.raises(SetUpError) as caught:
            link(repository, comfyui)
        assert str(other) in str(caught.value)
        assert entry.readlink() == other


class TestStep:
    def test_a_folder_is_built_once(self, tmp_path):
        built = []

        def build(step, folder):
            built.append(folder)
            (folder / "product").touch()

        for _ in range(2):
            make_step(tmp_path).make(tmp_path / "made", "product", {"version": "1"}, build)
        assert built == [tmp_path / "made"]

    def test_a_changed_pin_builds_again_from_clean(self, tmp_path):
        for version in ("1", "2"):
            make_step(tmp_path).make(tmp_path / "made", version, {"version": version}, lambda step, folder, v=version: (folder / v).touch())
        assert [entry.name for entry in (tmp_path / "made").iterdir()] == ["2"]

    def test_a_lost_product_builds_again(self, tmp_path):
        for _ in range(2):
            make_step(tmp_path).make(tmp_path / "made", "product", {}, lambda step, folder: (folder / "product").touch())
            assert (tmp_path / "made" / "product").exists()
            (tmp_path / "made" / "product").unlink()

    def test_a_moved_folder_builds_again(self, tmp_path):
        built = []

        def build(step, folder):
            built.append(folder)
            (folder / "product").touch()

        for name in ("one", "two"):
            make_step(tmp_path).make(tmp_path / name / "made", "product", {}, build)
            if name == "one":
                (tmp_path / "one").rename(tmp_path / "two")
        assert built == [tmp_path / "one" / "made", tmp_path / "two" / "made"]

    def test_an_interrupted_build_is_not_taken_for_a_finished_one(self, tmp_path):
        def interrupted(step, folder):
            (folder / "product").touch()
            (folder / "half").touch()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_step(tmp_path).make(tmp_path / "made", "product", {}, interrupted)
        make_step(tmp_path).make(tmp_path / "made", "product", {}, lambda step, folder: (folder / "product").touch())
        assert [entry.name for entry in (tmp_path / "made").iterdir()] == ["product"]

    def test_what_a_build_links_to_survives_building_again(self, tmp_path):
        kept = tmp_path / "repository"
        kept.mkdir()
        (kept / "work").touch()
        made = tmp_path / "made"
        for version in ("1", "2"):
            make_step(tmp_path).make(made, "link", {"version": version}, lambda step, folder: (folder / "link").symlink_to(kept))
        assert (kept / "work").exists()

    def test_a_failing_command_says_step_reason_and_remedy(self, tmp_path, capfd):
        step = make_step(tmp_path)
        command = [sys.executable, "-c", "print('noise\\n' * 50); print('the reason'); raise SystemExit(3)"]
        with pytest.raises(SetUpError) as caught:
            step.make(tmp_path / "made", "product", {}, lambda step, folder: step.run(command))
        text = str(caught.value)
        for part in ("Doing a thing", "code 3", "the reason", str(step.log), "try another thing"):
            assert part in text
        assert text.count("noise") < 20
        assert capfd.readouterr() == ("", "Doing a thing ... failed\n")

    def test_a_second_set_up_waits_for_the_first(self, tmp_path):
        call = "import sys, pathlib, steps\nwith steps.alone(pathlib.Path(sys.argv[1])):\n    print('second')"
        with alone(tmp_path / "lock"):
            other = subprocess.Popen(
                [sys.executable, "-c", call, tmp_path / "lock"],
                env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            said = other.stderr.read(len("Waiting"))
            assert other.poll() is None
        out, _ = other.communicate(timeout=60)
        assert (said, out) == ("Waiting", "second\n")


class TestPackages:
    def test_an_editable_installation_of_this_folder_is_known(self, tmp_path, repository):
        python = make_python(tmp_path / "venv")
        assert not is_editable_from(describe_installed(python, ["lightquant"])["lightquant"], repository)
        install_metadata(python, "lightquant", "0.1.0", {"url": repository.as_uri(), "dir_info": {"editable": True}})
        found = describe_installed(python, ["lightquant"])["lightquant"]
        assert found["version"] == "0.1.0"
        assert is_editable_from(found, repository)
        assert not is_editable_from(found, tmp_path)

    def test_a_copy_is_not_an_editable_installation(self, repository):
        found = {"version": "0.1.0", "origin": json.dumps({"url": repository.as_uri(), "dir_info": {}})}
        assert not is_editable_from(found, repository)

    def test_requirements_that_are_met_install_nothing(self, tmp_path):
        python = make_python(tmp_path / "venv")
        install_metadata(python, "pytest", "8.10.1")
        requirements = tmp_path / "requirements.txt"
        requirements.write_text("# why\npytest>=8.9\n")
        install_missing(python, requirements, tmp_path / "logs")
        assert not (tmp_path / "logs").exists()

    def test_only_the_inner_folder_of_an_archive_is_extracted(self, tmp_path):
        archive = tmp_path / "package.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for inner in ("setup.py", "vendor/ComfyUI/main.py", "vendor/ComfyUI/comfy/ops.py", "vendor/ComfyUI/../../evil.py"):
                name = f"top/{inner}"
                member = tarfile.TarInfo(name)
                member.size = len(name)
                tar.addfile(member, io.BytesIO(name.encode()))
        extract(archive, "vendor/ComfyUI", tmp_path / "out")
        files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file())
        assert files == ["comfy/ops.py", "main.py"]
        assert (tmp_path / "out" / "main.py").read_text() == "top/vendor/ComfyUI/main.py"
        assert not list(tmp_path.rglob("evil.py"))


class TestCommandLine:
    def test_where_is_one_line_of_json(self, tmp_path):
        line = where_line(Environment(tmp_path / "python", tmp_path / "模型 ComfyUI"))
        assert "\n" not in line
        assert json.loads(line) == {"python": str(tmp_path / "python"), "comfyui": str(tmp_path / "模型 ComfyUI")}

    @pytest.mark.parametrize("release", RELEASES)
    def test_every_pinned_release_can_be_asked_for(self, release):
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        options = parser.parse_args(["--release", release, "--where"])
        assert (options.release, options.where, options.comfyui) == (release, True, None)

    def test_a_set_up_that_cannot_go_on_exits_1_without_a_traceback(self, tmp_path):
        done = subprocess.run([sys.executable, SCRIPTS / "test.py", "--where", "--comfyui", tmp_path], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stdout == ""
        assert str(tmp_path) in done.stderr
        assert "Traceback" not in done.stderr
