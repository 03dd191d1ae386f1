"""The pack in a ComfyUI and in its Python: linked as a custom node, installed editable, with what the tests need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from own import import_problem
from steps import SetUpError, Step

LINK_NAME = "lightquant"
PIP_REMEDY = "read the log for pip's reason (no network, no right to write to that Python, an old pip), mend it and run the command again"

_DESCRIBE = """
import json, sys
from importlib.metadata import PackageNotFoundError, distribution

def describe(name):
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return {"version": found.version, "origin": found.read_text("direct_url.json")}

print(json.dumps({name: describe(name) for name in sys.argv[1:]}))
"""


def link(repository: Path, comfyui: Path) -> None:
    """Make the repository a custom node of ComfyUI, unless it is one already. Raises SetUpError when the name is taken."""
    custom_nodes = comfyui / "custom_nodes"
    entry = custom_nodes / LINK_NAME
    name = f"Linking the pack into {custom_nodes}"
    try:
        custom_nodes.mkdir(exist_ok=True)
        if any(other.exists() and other.samefile(repository) and other.suffix != ".disabled" for other in custom_nodes.iterdir()):
            return
        if not os.path.lexists(entry):
            _link_folder(entry, repository.resolve())
            return
    except OSError as error:
        raise SetUpError(name, str(error), f"check that you may write to {custom_nodes}, then run the command again") from error
    raise SetUpError(
        name,
        f"{entry} is there already and leads to {entry.resolve()}, not to this copy of the pack, {repository}.",
        f"move {entry} away if this copy shall take its place, or run the command of that other copy",
    )


def _link_folder(entry: Path, target: Path) -> None:
    if os.name == "nt":
        import _winapi  # a junction, since a symbolic link needs a right that few Windows users have

        _winapi.CreateJunction(str(target), str(entry))
    else:
        entry.symlink_to(target, target_is_directory=True)


def install_missing(python: Path, requirements: Path, logs: Path) -> None:
    """Install the lines `name>=version` of a requirements file that the Python doesn't meet yet. Raises SetUpError."""
    lines = [line.strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    wanted = dict(line.split(">=") for line in lines if line and not line.startswith("#"))
    installed = describe_installed(python, list(wanted))
    missing = [name for name, version in wanted.items() if not _meets(installed[name], version)]
    if missing:
        step = Step(f"Installing {', '.join(missing)}", logs / f"{requirements.stem}.log", PIP_REMEDY)
        with step.announced():
            step.run([*_pip(python), "install", *(f"{name}>={wanted[name]}" for name in missing)])


def describe_installed(python: Path, names: Sequence[str]) -> dict[str, dict[str, str] | None]:
    """Version and `direct_url.json` (as `origin`) of the named packages in a Python, None for one that isn't there."""
    # -E, and a working folder without packages: metadata that only lies on a path set for this call is not an installation.
    done = subprocess.run([python, "-E", "-c", _DESCRIBE, *names], cwd=python.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        remedy = "check that this Python starts; if it is in .env, delete that folder and run the command again"
        raise SetUpError(f"Asking {python} for its packages", done.stderr.strip(), remedy)
    return json.loads(done.stdout)


def _meets(found: Mapping[str, str] | None, lowest: str) -> bool:
    return found is not None and _numbers(found["version"]) >= _numbers(lowest)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def install_pack(python: Path, repository: Path, logs: Path) -> None:
    """Install the repository, editable and without dependencies, unless it is installed like that. Raises SetUpError."""
    if is_editable_from(describe_installed(python, ["lightquant"])["lightquant"], repository):
        return
    options = ["--no-deps"]
    # An embedded Python ignores PYTHONPATH, by which pip hands a build its own packages.
    if any(python.parent.glob("python*._pth")):
        options.append("--no-build-isolation")
    step = Step("Installing the pack, editable", logs / "pack.log", PIP_REMEDY)
    with step.announced():
        step.run([*_pip(python), "install", *options, "-e", repository.resolve()])


def is_editable_from(found: Mapping[str, str] | None, repository: Path) -> bool:
    """Whether an installed package, as `describe_installed` gives it, is an editable installation of this folder."""
    origin = json.loads((found or {}).get("origin") or "{}")
    folder = Path(url2pathname(urlparse(origin.get("url", "")).path))
    return origin.get("dir_info", {}).get("editable", False) and folder.exists() and folder.samefile(repository)


def _pip(python: Path) -> list[str | Path]:
    if import_problem(python, "pip") is None:
        return [python, "-m", "pip"]
    # A virtual environment made by uv holds no pip; another Python's pip can install into it.
    return [sys.executable, "-m", "pip", "--python", python]
