"""Finding the user's own ComfyUI and the Python that runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from releases import DEFAULT_RELEASE, python_of
from steps import SetUpError


def own_comfyui(argument: Path | None, environ: Mapping[str, str], repository: Path) -> Path | None:
    """The user's ComfyUI: the argument, else COMFYUI_PATH, else the folder whose custom_nodes holds the repository, else none.

    Raises SetUpError when the folder that is meant isn't a ComfyUI.
    """
    if argument:
        folder, source = argument, "--comfyui"
    elif environ.get("COMFYUI_PATH"):
        folder, source = Path(environ["COMFYUI_PATH"]), "the environment variable COMFYUI_PATH"
    elif repository.parent.name == "custom_nodes":
        folder, source = repository.parents[1], "the custom_nodes folder that the pack is in"
    else:
        return None
    folder = Path(os.path.abspath(folder.expanduser()))
    missing = [name for name in ("main.py", "folder_paths.py", "comfy", "custom_nodes") if not (folder / name).exists()]
    if missing:
        raise SetUpError(
            "Finding ComfyUI",
            f"{source} says {folder}, which has no {', '.join(missing)}.",
            f"pass --comfyui PATH with the folder that holds ComfyUI's main.py, or --release {DEFAULT_RELEASE} to set one up in .env",
        )
    return folder


def own_python(comfyui: Path) -> Path:
    """The Python that runs the user's ComfyUI: the first of the usual places that can import torch. Raises SetUpError."""
    candidates = [
        python_of(comfyui / "venv"),
        python_of(comfyui / ".venv"),
        comfyui.parent / "python_embeded" / "python.exe",
        python_of(comfyui.parent / "venv"),
        python_of(comfyui.parent / ".venv"),
        Path(sys.executable),
    ]
    looked = []
    for python in candidates:
        problem = import_problem(python, "torch")
        if problem is None:
            return python
        looked.append(f"  {python}: {problem}")
    raise SetUpError(
        f"Finding the Python of {comfyui}",
        "none of these can import torch:\n" + "\n".join(looked),
        "run this script with the Python that starts your ComfyUI, or install torch and ComfyUI's requirements.txt in one of these places",
    )


def import_problem(python: Path, module: str) -> str | None:
    """Why a Python can't import a module; None when it can."""
    if not python.exists():
        return "not there"
    try:
        done = subprocess.run([python, "-c", f"import {module}"], cwd=python.parent, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]
