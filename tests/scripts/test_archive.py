"""The archive that the registry would hold: what is in it, and that it runs from a clean custom_nodes folder by itself."""

import ast
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import archive
import pytest
import torch
from demo_base import arguments
from demo_client import Client
from demo_server import running_server
from PIL import Image
from workflows.small import in_small

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")

REPOSITORY = Path(__file__).resolve().parents[2]
COMFYUI = Path(os.environ.get("COMFYUI_PATH", ""))
LARGEST_FILE, LARGEST_ARCHIVE = 600_000, 3_000_000
"""Bytes."""

USERS = {"custom_nodes", "models", "input", "output", "user", "temp", ".git"}
"""The folders of a ComfyUI that a fresh one does not have or has empty."""

HIDE = """
import sys
sys.meta_path[:] = [each for each in sys.meta_path if "__editable__" not in getattr(each, "__module__", "")]
"""
"""A prestartup script: this Python also has the repository installed, which must not stand in for what the archive lacks."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The archive, unpacked."""
    folder = tmp_path_factory.mktemp("archive")
    with zipfile.ZipFile(archive.build(folder / "node.zip")) as packed:
        packed.extractall(folder / "lightquant")
    assert (folder / "node.zip").stat().st_size < LARGEST_ARCHIVE
    return folder / "lightquant"


def relative(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_in_it_that_users_do_not_need(unpacked):
    names = relative(unpacked)
    folders = r"(tests|benchmarks|scripts|assets|\.ci|\.github|\.env|demo-output)/"
    wrong = folders + r"|.*(__pycache__|\.pyc|\.pth|\.safetensors|\.egg-info)|\.(git|comfy)ignore"
    assert [name for name in names if re.match(wrong, name)] == []
    assert [name for name in names if (unpacked / name).stat().st_size > LARGEST_FILE] == []
    folders = {"bridge", "kernels", "nodes", "web", "locales", "example_workflows", "routes", "cli"}
    files = {"__init__.py", "pyproject.toml", "requirements.txt", "README.md", "README.zh.md", "LICENSE", "CHANGELOG.md"}
    assert folders | files <= {name.split("/")[0] for name in names}


def test_every_relative_import_leads_to_a_file_in_it(unpacked):
    missing = []
    for file in unpacked.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                for target in [base] if node.module else [base / alias.name for alias in node.names]:
                    if not target.with_suffix(".py").exists() and not (target / "__init__.py").exists() and target.name not in ("__version__", ""):
                        missing.append(f"{file.relative_to(unpacked)}: {target.relative_to(unpacked)}")
    assert missing == []


def test_every_package_of_it_is_installed_by_pip_too(unpacked):
    listed = tomllib.loads((unpacked / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    packages = {"/".join(["lightquant", *file.parent.relative_to(unpacked).parts]).replace("/", ".") for file in unpacked.rglob("*.py")}
    assert packages == set(listed)


def get(address: str, path: str) -> str:
    with urllib.request.urlopen(address + path) as answer:
        return answer.read().decode("utf-8")


def test_it_runs_in_a_fresh_comfyui_on_a_path_with_spaces_and_other_letters(unpacked, tmp_path):
    """As the README's steps leave it: a folder in custom_nodes and nothing installed."""
    import workflow_models

    comfyui = tmp_path / "Größe & 视频 模型" / "ComfyUI"
    shutil.copytree(COMFYUI, comfyui, ignore=lambda folder, names: USERS & set(names) if Path(folder) == COMFYUI else ())
    hide = comfyui / "custom_nodes" / "hide_the_repository"
    hide.mkdir(parents=True)
    (hide / "prestartup_script.py").write_text(HIDE, encoding="utf-8")
    (hide / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n", encoding="utf-8")
    shutil.copytree(unpacked, comfyui / "custom_nodes" / "lightquant")
    workflow_models.fill(comfyui)
    started = arguments(comfyui, {}, on_cpu=not torch.cuda.is_available())
    started.insert(started.index("--whitelist-custom-nodes") + 1, hide.name)
    with running_server(comfyui, comfyui, tmp_path / "log", started) as server:
        nodes = [name for name in json.loads(get(server.address, "/object_info")) if name.startswith("LightQuant")]
        assert len(nodes) == len(list((REPOSITORY / "web" / "docs").iterdir()))
        for name in nodes:
            for language in ("en", "zh"):
                assert get(server.address, f"/extensions/lightquant/docs/{name}/{language}.md").startswith("# ")
        texts = json.loads(get(server.address, "/i18n"))
        assert set(nodes) <= set(texts["en"]["nodeDefs"]) & set(texts["zh"]["nodeDefs"])
        scripts = [path for path in json.loads(get(server.address, "/extensions")) if path.startswith("/extensions/lightquant/")]
        assert {path.rsplit("/", 1)[1] for path in scripts} == {file.name for file in (REPOSITORY / "web").rglob("*.js")}
        assert all(get(server.address, path) for path in scripts)
        templates = json.loads(get(server.address, "/workflow_templates"))["lightquant"]
        assert sorted(templates) == sorted(file.stem for file in (REPOSITORY / "example_workflows").glob("*.json"))
        assert json.loads(get(server.address, "/lightquant/kernels"))
        asyncio.run(run_small(server, "wan2.1_i2v_clip"))
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8", errors="replace")


async def run_small(server, name: str) -> None:
    graph = json.loads((REPOSITORY / "tests" / "example_workflows" / "api" / f"{name}.json").read_text(encoding="utf-8"))
    async with Client(server) as client:
        outcome = await client.run(in_small(graph), "", lambda *_: None)
    assert any("images" in output for output in outcome.outputs.values())


def test_what_must_be_filled_in_before_publishing_is_all_that_is_missing():
    import publishing

    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(publishing.missing(settings)) <= {"project.urls.Repository", "tool.comfy.Icon", "tool.comfy.Banner"}
    assert publishing.version_problems(settings, REPOSITORY) == []
    settings["project"]["version"] = "0.1"
    assert "project.version" in publishing.missing(settings)
    assert len(publishing.version_problems(settings, REPOSITORY)) == 1  # 0.1 begins the heading of 0.1.0
    done = subprocess.run([sys.executable, str(REPOSITORY / "scripts" / "publishing.py")], capture_output=True, text=True)
    assert done.returncode == (1 if "no fitting" in done.stdout else 0)


def test_icon_and_banner_are_of_the_registrys_sizes():
    with Image.open(REPOSITORY / "assets" / "icon.png") as icon, Image.open(REPOSITORY / "assets" / "banner.png") as banner:
        assert icon.width == icon.height <= 400
        assert banner.width * 9 == banner.height * 21


def test_the_publish_workflow_checks_before_it_publishes():
    text = (REPOSITORY / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")
    assert text.index("run: python scripts/publishing.py\n") < text.index("publish-node-action")
    assert "secrets.REGISTRY_ACCESS_TOKEN" in text


def test_the_publish_workflow_publishes_a_new_version_alone(tmp_path):
    import publishing

    def commit(version: str) -> str:
        (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n# {os.urandom(4).hex()}', encoding="utf-8")
        for command in (["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        return subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "other").touch()
    first, second = commit("0.1.0"), commit("0.2.0")
    now = {"project": {"version": "0.2.0"}}
    assert [publishing.is_new(now, before, tmp_path) for before in (first, second, "", "0" * 40)] == [True, False, True, True]

    text = (REPOSITORY / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")
    assert 'publishing.py --since "$BEFORE"' in text
    assert text.index("is_new == 'true'") < text.index("publish-node-action")
    said = subprocess.run([sys.executable, str(REPOSITORY / "scripts" / "publishing.py"), "--since", "HEAD"], capture_output=True, text=True)
    assert said.stdout in ("is_new=true\n", "is_new=false\n")


def test_every_action_is_fixed():
    """GitHub's own by version, another's by commit: it is given the publisher's key."""
    used = re.findall(r"uses: (\S+)@(\S+)", (REPOSITORY / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8"))
    assert used
    assert all(re.fullmatch(r"v\d+" if action.startswith("actions/") else r"[0-9a-f]{40}", at) for action, at in used)
