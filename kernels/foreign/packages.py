"""The packages that kernels come with: what they are called, where they are found without importing them, and how to install them."""

import importlib.metadata
import importlib.util
import os
import sys
from typing import NamedTuple

import torch

VLLM_FOR_TORCH: dict[str, str] = {
    "2.6": "vllm==0.8.5.post1", "2.7": "vllm==0.10.1.1", "2.8": "vllm==0.11.0", "2.9": "vllm==0.16.0", "2.10": "vllm==0.19.1", "2.11": "vllm==0.26.0",
    "2.12": "vllm==0.26.0", "2.13": "vllm==0.32.0", "2.14": "vllm==0.33.0", "2.15": "vllm==0.33.0",
}  # fmt: skip
"""What pip is to install for which torch, by torch's release; from the packages' metadata, and their libraries' symbols compared with torch's.

From 0.24 on vllm's library keeps to torch's stable interface: newer torches load it, too.
"""

SGL_FOR_TORCH: dict[str, str] = {
    "2.6": "sgl-kernel==0.1.4", "2.7": "sgl-kernel==0.2.8", "2.8": "sgl-kernel==0.3.17.post1", "2.9": "sgl-kernel==0.3.21",
    "2.11": "sglang-kernel==0.4.5", "2.13": "sglang-kernel==0.4.8", "2.14": "sglang-kernel==0.4.10", "2.15": "sglang-kernel==0.4.10",
}  # fmt: skip
"""Its library is bound to one release of torch; none loads in 2.10 and 2.12."""

TORCHAO_FOR_TORCH: dict[str, str] = {
    **dict.fromkeys(("2.6", "2.7"), "torchao==0.16.0"), **dict.fromkeys(("2.8", "2.9"), "torchao==0.17.0"),
    **dict.fromkeys(("2.10", "2.11", "2.12", "2.13", "2.14", "2.15"), "torchao==0.18.0"),
}  # fmt: skip
"""Bound by what it imports of torch."""


class Package(NamedTuple):
    """name: as the table of schemes has it.
    distributions: what pip calls it, the current name first; module: what Python calls it.
    versions: release of torch ("2.11") -> what pip is to install for it; empty where pip has nothing.
    how: how to get it where pip can't.
    linux_only: whether it has no build for any other system.
    """

    name: str
    distributions: tuple[str, ...]
    module: str
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
        return f"{self.module} {self.version or 'of unknown version'} ({self.folder})"


TORCH = Package("torch", ("torch",), "torch", {})
TRITON = Package("triton", ("triton", "triton-windows", "pytorch-triton-rocm", "pytorch-triton-xpu"), "triton", {})
KITCHEN = Package("comfy-kitchen", ("comfy-kitchen",), "comfy_kitchen", {})
"""What the pack's own kernels call: it comes with torch and with ComfyUI."""


def find(package: Package) -> Found | None:
    """Where the package is installed; nothing of it is imported."""
    try:
        spec = importlib.util.find_spec(package.module)
    except (ImportError, ValueError):  # a parent that is missing, or a module without a spec
        return None
    if spec is None:
        return None
    folder = next(iter(spec.submodule_search_locations or ()), None) or os.path.dirname(spec.origin or "")
    return Found(package.module, folder, _version(package))


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
    """What its installer says; the running torch knows more of its own."""
    if package is TORCH:
        return torch.__version__
    for distribution in package.distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
