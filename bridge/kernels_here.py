"""The kernel report of this ComfyUI: made one at a time, the last one kept for whoever asks."""

import threading
from dataclasses import replace

import comfy.model_management
import comfy.utils
import comfyui_version

from ..formats import FORMATS
from ..reports.auto import auto_takes
from ..reports.kernels import KernelReport, Progress, kernel_report, known_report
from .settings import preferred_kernels

_making = threading.Lock()
_last: KernelReport | None = None


def last_report() -> KernelReport:
    """The last report made in this process, with what `auto` takes by the settings of now; before the first one, what is known. Nothing is run."""
    device = comfy.model_management.get_torch_device()
    if _last is None:
        return known_report(device, comfyui_version.__version__)
    return replace(_last, auto=tuple(auto_takes(name, device, preferred_kernels(), checking=False) for name in FORMATS))


def make_report(recheck: bool) -> KernelReport | None:
    """Check every kernel and report; None where a report is being made already."""
    if not _making.acquire(blocking=False):
        return None
    try:
        return _make(recheck)
    finally:
        _making.release()


def make_report_in_a_node(recheck: bool) -> KernelReport:
    """The same for a node that runs: it shows its progress, stops when the user cancels, and waits for a report that is being made."""
    bar: comfy.utils.ProgressBar | None = None

    def progress(done: int, total: int, what: str) -> None:
        nonlocal bar
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar = bar or comfy.utils.ProgressBar(total)
        bar.update_absolute(done, total)

    with _making:
        return _make(recheck, progress)


def _make(recheck: bool, progress: Progress | None = None) -> KernelReport:
    global _last
    device = comfy.model_management.get_torch_device()
    _last = kernel_report(device, comfyui_version.__version__, recheck, progress, preferred_kernels())
    return _last
