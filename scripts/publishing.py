"""Says what the registry would miss: `publishing.py` (Python 3.11 or newer). Ends with 1 if there is anything.

With `--since COMMIT` it says whether the version is another than in that commit, as an output of a workflow's step.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
NEEDED = {
    "project.name": r"[a-z][a-z0-9._-]*",
    "project.version": r"\d+\.\d+\.\d+",
    "project.description": r".+",
    "project.urls.Repository": r"https://.+",
    "tool.comfy.PublisherId": r".+",
    "tool.comfy.DisplayName": r".+",
    "tool.comfy.requires-comfyui": r">=\d+\.\d+\.\d+",
    "tool.comfy.Icon": r"https://.+\.(png|svg|jpg|gif)",
    "tool.comfy.Banner": r"https://.+\.(png|svg|jpg|gif)",
}
"""Where a field stands in pyproject.toml, and what it must look like."""


def missing(settings: Mapping) -> list[str]:
    """The fields that are absent or look otherwise."""
    return [field for field, pattern in NEEDED.items() if not re.fullmatch(pattern, _value(settings, field))]


def version_problems(settings: Mapping, repository: Path) -> list[str]:
    """Where the version of pyproject.toml should stand and doesn't."""
    version = settings["project"]["version"]
    wanted = {"__init__.py": f'__version__ = "{version}"', "CHANGELOG.md": f"## {version}"}
    return [f"{file} does not have {text}" for file, text in wanted.items() if text not in (repository / file).read_text(encoding="utf-8")]


def is_new(settings: Mapping, commit: str, repository: Path) -> bool:
    """Whether the version is another than in a commit. It is where there is no such commit, as before a branch's first push, or no file in it."""
    shown = subprocess.run(["git", "show", f"{commit}:pyproject.toml"], cwd=repository, capture_output=True) if commit else None
    if shown is None or shown.returncode:
        return True
    return tomllib.loads(shown.stdout.decode("utf-8"))["project"]["version"] != settings["project"]["version"]


def _value(settings: Mapping, field: str) -> str:
    value: object = settings
    for key in field.split("."):
        value = value.get(key, "") if isinstance(value, Mapping) else ""
    return str(value)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--since", metavar="COMMIT", help="say whether the version is another than in this commit, and nothing else")
    options = parser.parse_args()
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    if options.since is not None:
        print(f"is_new={str(is_new(settings, options.since, REPOSITORY)).lower()}")
        return 0
    problems = [*(f"pyproject.toml has no fitting {field}" for field in missing(settings)), *version_problems(settings, REPOSITORY)]
    print("\n".join(problems) or "Ready to be published.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
