"""The machine that a report is about: versions, the device and its driver."""

import importlib.metadata
import platform
import sys
from typing import NamedTuple

import torch

from .. import __version__
from ..kernels.devices import capability
from ..kernels.driver import driver
from ..kernels.foreign.packages import KITCHEN, TRITON, find


class Environment(NamedTuple):
    """What a bug report needs to know first. Versions are "" where they aren't known.

    executable: the Python whose pip the commands of a report are for; backend: what torch was built for; triton: its version, or why there is none;
    device: as torch calls it; name: as its owner does; capability: sm_90, or what a CPU can; driver: NVIDIA's; memory: the GPU's, in bytes.
    """

    lightquant: str
    comfyui: str
    comfy_kitchen: str
    python: str
    executable: str
    system: str
    torch: str
    backend: str
    triton: str
    device: str
    name: str
    capability: str
    driver: str
    memory: int | None


def environment(device: torch.device, comfyui: str) -> Environment:
    """Nothing runs on the device for it. comfyui: the version of the ComfyUI around, "" where it isn't known."""
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    kitchen = find(KITCHEN)
    return Environment(
        lightquant=__version__,
        comfyui=comfyui,
        comfy_kitchen=kitchen.version if kitchen else "",
        python=platform.python_version(),
        executable=sys.executable,
        system=platform.platform(),
        torch=torch.__version__,
        backend=_backend(),
        triton=_triton(),
        device=str(device),
        name=gpu.name if gpu else platform.processor() or platform.machine(),
        capability=_capability(device),
        driver=driver() if gpu and torch.version.hip is None else "",
        memory=gpu.total_memory if gpu else None,
    )


def install_triton() -> str | None:
    """The command that installs the Triton that this torch was made for; None where there is none that is known."""
    if sys.platform == "win32":
        return "pip install --no-deps triton-windows"
    try:
        needs = importlib.metadata.requires("torch") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    pinned = next((need.split(";")[0].strip() for need in needs if need.startswith(TRITON.distributions)), None)
    return f"pip install --no-deps {pinned}" if pinned else None


def _triton() -> str:
    found, command = find(TRITON), install_triton()
    if found is not None:
        return found.version or "of unknown version"
    return f"not installed ({command})" if command else "not installed"


def _backend() -> str:
    if torch.version.hip is not None:
        return f"ROCm {torch.version.hip}"
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"


def _capability(device: torch.device) -> str:
    if (found := capability(device)) is not None:
        return f"sm_{found[0]}{found[1]}"
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).gcnArchName
    return torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
