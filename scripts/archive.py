"""The archive that ComfyUI's registry would hold: what git tracks, without what .comfyignore names. `archive.py [FILE.zip]`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def files(repository: Path = REPOSITORY) -> list[str]:
    """The paths in the archive, with slashes, as `comfy node publish` picks them."""
    tracked = _git(repository, "ls-files", "-z")
    left_out = set(_git(repository, "ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore"))
    return [path for path in tracked if path not in left_out and (repository / path).is_file()]


def build(target: Path, repository: Path = REPOSITORY) -> Path:
    """Write the archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(repository):
            archive.write(repository / path, path)
    return target


def _git(repository: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, encoding="utf-8", check=True)
    return [path for path in done.stdout.split("\0") if path]


def main() -> int:
    if len(sys.argv) > 1:
        print(build(Path(sys.argv[1])))
    else:
        print("\n".join(files()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
