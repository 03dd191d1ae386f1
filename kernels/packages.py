"""The kernel packages of others: what they are called, where they are found without importing them, and how to install them."""

import importlib.metadata
import importlib.util
import os
import sys
from typing import NamedTuple

import torch


class Package(NamedTuple):
    """name: as the table of schemes has it.
    distributions: what pip calls it, the current name first; modules: what Python calls it, each tried in turn.
    versions: release of torch ("2.11") -> what pip is to install for it; empty where pip has nothing.
    how: how to get it where pip can't.
    linux_only: whether it has no build for any other system.
    """

    name: str
    distributions: tuple[str, ...]
    modules: tuple[str, ...]
    versions: dict[str, str]
    how: str = ""
    linux_only: bool = False


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
    if package.linux_only and sys.platform != "linux":
        return f"{package.name} has no build for this system, only for Linux"
    if package.how:
        return package.how
    wanted = package.versions.get(torch_release())
    if wanted is None:
        return f"no version of {package.name} is known to fit torch {torch_release()}; known: torch {', '.join(package.versions)}"
    return f"pip install --no-deps {wanted}"


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
