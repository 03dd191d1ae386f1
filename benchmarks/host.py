"""ComfyUI in this process, with the memory mode its server would choose; and what a result file must say about the machine."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def start_comfyui(folder: str) -> None:
    """Make ComfyUI importable and turn its dynamic VRAM on, as its main.py does. Call it before torch is imported."""
    sys.path.insert(0, folder)
    import comfy_aimdo.control

    comfy_aimdo.control.init()
    import comfy.memory_management
    import comfy.model_management
    import comfy.model_patcher

    devices = comfy.model_management.get_all_torch_devices()
    try:
        ready = comfy_aimdo.control.init_devices((device.index, 0) for device in devices)
    except TypeError:  # before comfy-aimdo 0.4.10
        ready = comfy_aimdo.control.init_devices(device.index for device in devices)
    if not ready:
        raise SystemExit("comfy-aimdo does not work here, so this would measure another memory mode than ComfyUI's default. Nothing was measured.")
    comfy_aimdo.control.set_log_warning()
    comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.ModelPatcherDynamic
    comfy.memory_management.aimdo_enabled = True


PACKAGES = ("vllm", "sglang-kernel", "deep-gemm", "torchao", "comfy-kitchen")
"""Distributions whose kernels a result may depend on."""


def environment(commit: str) -> dict[str, object]:
    """What a result depends on: versions, GPU, commit, command."""
    import torch

    packages = {name: version for name in PACKAGES if (version := _version(name))}
    return {
        "commit": commit or _commit(),
        "command": " ".join(sys.argv),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "driver": _driver(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "comfyui": _comfyui(),
        "packages": packages,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _comfyui() -> str:
    """Its version; a benchmark of kernels alone needs none."""
    try:
        import comfyui_version
    except ImportError:
        return ""
    return comfyui_version.__version__


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


SAMPLES = re.compile(r"\[[-+.,\d\seE]+\]")
"""A JSON list of numbers."""


def write(path: str, result: dict) -> None:
    """Write a result as JSON, a list of samples a line, through a temporary file, so that an interrupted run leaves no half of one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = SAMPLES.sub(lambda found: re.sub(r"\s+", " ", found[0]), json.dumps(result, indent=1))
    Path(path + ".part").write_text(text + "\n", encoding="utf-8")
    os.replace(path + ".part", path)


class VRAM:
    """The driver's figure for the memory in use above an idle CUDA context, sampled every few milliseconds in a thread."""

    def __init__(self):
        import torch

        torch.empty(1, device="cuda")
        torch.cuda.synchronize()
        self._idle = torch.cuda.mem_get_info()[0]
        self._least = self._idle
        self._running = True
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        import torch

        while self._running:
            self._least = min(self._least, torch.cuda.mem_get_info()[0])
            time.sleep(0.005)

    def restart(self) -> None:
        """Forget the peak seen so far."""
        self._least = self._idle

    def now_gib(self) -> float:
        """The use at this moment."""
        import torch

        return (self._idle - torch.cuda.mem_get_info()[0]) / 2**30

    def peak_gib(self) -> float:
        """The highest use since the last restart."""
        return (self._idle - self._least) / 2**30

    def stop(self) -> None:
        self._running = False
