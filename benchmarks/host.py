"""ComfyUI in this process, with the memory mode its server would choose; and what a result file must say about the machine."""

import gc
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from arguments import REPOSITORY


def start_comfyui(folder: str, device: str = "cuda", dynamic: bool = True) -> None:
    """Make ComfyUI importable, and on a GPU turn its dynamic VRAM on, as its main.py does. Call it before torch is imported.

    Its main.py also has torch take cudaMallocAsync, which this does not: `allocator` in a result's environment says so.
    """
    sys.path.insert(0, folder)
    sys.path.append(str(REPOSITORY / "scripts"))  # for small models, which stand in for large ones on the CPU
    if device == "cpu" or not dynamic:
        from comfy.cli_args import args

        args.cpu = device == "cpu"
        return
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
        "commit": commit,
        "command": " ".join(sys.argv),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "driver": _driver(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "allocator": torch.cuda.get_allocator_backend() if torch.cuda.is_available() else "none",
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


SAMPLES = re.compile(r"\[[-+.,\d\seE]+\]")
"""A JSON list of numbers."""


def write(path: str, result: dict) -> None:
    """Write a result as JSON, a list of samples a line, through a temporary file, so that an interrupted run leaves no half of one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = SAMPLES.sub(lambda found: re.sub(r"\s+", " ", found[0]), json.dumps(result, indent=1))
    Path(path + ".part").write_text(text + "\n", encoding="utf-8")
    os.replace(path + ".part", path)


def shown(row: dict) -> dict:
    """A row for the terminal: its figures rounded, its samples left out."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items() if not isinstance(value, list | dict)}


FOLDER = "lightquant-files"
"""Made in the folder that a script is given. One for all of them: what one that was stopped has left would fill the disk for the next."""


def fresh(folder: str) -> Path:
    """An empty folder of the benchmarks' own in the given one."""
    made = Path(folder, FOLDER)
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    return made


def free() -> None:
    """Have ComfyUI give back what models hold on the GPU."""
    import comfy.model_management

    comfy.model_management.unload_all_models()
    gc.collect()
    comfy.model_management.soft_empty_cache()


class VRAM:
    """The driver's figure for the memory in use above an idle CUDA context, sampled every few milliseconds in a thread; 0 where there is no GPU."""

    def __init__(self):
        import torch

        self._has_gpu = torch.cuda.is_available()
        if self._has_gpu:
            torch.empty(1, device="cuda")
            torch.cuda.synchronize()
        self._idle = self._least = self._free()
        self._running = self._has_gpu
        threading.Thread(target=self._watch, daemon=True).start()

    def _free(self) -> int:
        import torch

        return torch.cuda.mem_get_info()[0] if self._has_gpu else 0

    def _watch(self) -> None:
        while self._running:
            self._least = min(self._least, self._free())
            time.sleep(0.005)

    def restart(self) -> None:
        """Forget the peak seen so far."""
        self._least = self._idle

    def now_gib(self) -> float:
        """The use at this moment."""
        return (self._idle - self._free()) / 2**30

    def peak_gib(self) -> float:
        """The highest use since the last restart."""
        return (self._idle - self._least) / 2**30

    def stop(self) -> None:
        self._running = False
