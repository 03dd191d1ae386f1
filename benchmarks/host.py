"""ComfyUI in this process, with the memory mode its server would choose; and what a result file must say about the machine."""

import json
import os
import platform
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


def environment(commit: str) -> dict[str, str]:
    """What a result depends on: versions, GPU, commit, command."""
    import comfy_kitchen
    import comfyui_version
    import torch
    import triton

    return {
        "commit": commit or _commit(),
        "command": " ".join(sys.argv),
        "gpu": torch.cuda.get_device_name(),
        "driver": subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "comfyui": comfyui_version.__version__,
        "comfy_kitchen": getattr(comfy_kitchen, "__version__", "unknown"),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write(path: str, result: dict) -> None:
    """Write a result as JSON, through a temporary file, so that an interrupted run leaves no half of one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path + ".part").write_text(json.dumps(result, indent=1) + "\n")
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

    def peak_gib(self) -> float:
        """The highest use since the last restart."""
        return (self._idle - self._least) / 2**30

    def stop(self) -> None:
        self._running = False
