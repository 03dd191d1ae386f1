"""The memory that a server takes, sampled while it works."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from demo_server import Server

SAMPLE_SECONDS = 0.05
SETTLED_BYTES, SETTLE_SECONDS = 1 << 20, 5.0


def host_bytes(pid: int) -> int:
    """Anonymous and shared memory of a process; mapped files, which the system can drop at will, are left out where it tells them apart (Linux)."""
    if sys.platform == "linux":
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    import psutil

    return psutil.Process(pid).memory_info().rss


def device_bytes(server: Server) -> int:
    """What the driver says is taken on the server's GPU, by all processes. ComfyUI counts torch's idle reserve as free; here it is taken."""
    with urllib.request.urlopen(f"{server.address}/system_stats", timeout=10) as answer:
        device = json.load(answer)["devices"][0]
    return device["vram_total"] - device["vram_free"] + device["torch_vram_free"]


def wait_until_settled(server: Server) -> None:
    """Return once the server's memory stands still, or has not within SETTLE_SECONDS: models are dropped in another thread, which tells nobody."""
    end, last, still = time.monotonic() + SETTLE_SECONDS, host_bytes(server.process.pid), 0
    while still < 4 and time.monotonic() < end:
        time.sleep(SAMPLE_SECONDS)
        now = host_bytes(server.process.pid)
        still = still + 1 if abs(now - last) < SETTLED_BYTES else 0
        last = now


class MemoryPeak:
    """Samples a server's memory within a `with` block.

    peak: of the host, in bytes; device_peak: of the GPU, or None without one.
    """

    def __init__(self, server: Server, with_device: bool):
        self._server, self._with_device = server, with_device
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> MemoryPeak:
        self.peak = host_bytes(self._server.process.pid)
        self.device_peak = device_bytes(self._server) if self._with_device else None
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            try:
                self.peak = max(self.peak, host_bytes(self._server.process.pid))
                if self.device_peak is not None:
                    self.device_peak = max(self.device_peak, device_bytes(self._server))
            except (OSError, LookupError):
                return  # the server has ended; the client says so
