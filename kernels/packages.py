"""The kernel packages of others: what they are called, where they are found without importing them, and how to install them."""

import importlib.metadata
import importlib.util
import os
from typing import NamedTuple

import torch


class Package(NamedTuple):
    """name: as the table of schemes has it.
    distributions: what pip calls it, the current name first; modules: what Python calls it, each tried in turn.
    versions: release of torch ("2.11") -> the version of the first distribution that was built for it; empty where it goes with any torch.
    how: how to get it where pip can't.
    """

    name: str
    distributions: tuple[str, ...]
    modules: tuple[str, ...]
    versions: dict[str, str]
    how: str = ""


class Found(NamedTuple):
    """A package that is installed. folder: of its module; version: "" where it says none."""

    module: str
    folder: str
    version: str

    @property
    def described(self) -> str:
        return f"{self.module} {self.version or 'of unknown version'} in {self.folder}"


def find(package: Package) -> Found | None:
    """Where the package is installed; nothing of it is imported."""
    for module in package.modules:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):  # a parent that is missing, or a module without a spec
            continue
        if spec is not None:
            folder = next(iter(spec.submodule_search_locations or ()), None) or os.path.dirname(spec.origin or "")
            return Found(module, folder, _version(package))
    return None


def install(package: Package) -> str:
    """The command that installs the package for this torch without touching torch itself, or why there is none."""
    if package.how:
        return package.how
    release = torch_release()
    if not package.versions:
        return f"pip install --no-deps {package.distributions[0]}"
    if release not in package.versions:
        return f"no version of {package.distributions[0]} is known for torch {release}; known: torch {', '.join(package.versions)}"
    return f"pip install --no-deps {package.distributions[0]}=={package.versions[release]}"


def torch_release() -> str:
    """The running torch's major and minor number."""
    return ".".join(torch.__version__.split("+")[0].split(".")[:2])


def _version(package: Package) -> str:
    for distribution in package.distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
