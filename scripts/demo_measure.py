"""One model run twice on every task, and what that left: kernels, times, memory, latents and a preview."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
from demo_client import Client, Outcome
from demo_files import Models
from demo_graphs import LOADERS, SAMPLER, SAVE, Video, graph
from demo_memory import MemoryPeak, wait_until_settled
from demo_server import Server
from safetensors.torch import load_file

FLOAT = "float"


@dataclass(frozen=True)
class Run:
    """One model on one task.

    name: a scheme's, or float; files: bytes by component.
    kernels: by component that the pack loaded, the kernel and why, as its node says it.
    step_times: seconds of each step but the first, in the second run; seconds: both prompts, loading included.
    memory: bytes of host and device, at the peak and before anything was loaded.
    repeat_difference: the greatest between the latents of the two runs, which have the same seed.
    """

    name: str
    task: str
    files: dict[str, int]
    kernels: dict[str, str]
    step_times: list[float]
    seconds: list[float]
    memory: dict[str, int | None]
    repeat_difference: float
    latent: torch.Tensor
    preview: bytes | None

    @property
    def seconds_per_step(self) -> float:
        return statistics.median(self.step_times)


@dataclass(frozen=True)
class Bench:
    """A server that has just come up, and what all runs in it share."""

    server: Server
    base: Path
    models: Models
    video: Video
    on_gpu: bool


async def measure(bench: Bench, name: str) -> tuple[dict, list[Run]]:
    """What ComfyUI says of itself, and one Run a task of a scheme or of float. The server has loaded nothing before, so its peak is this model's."""
    runs = []
    before = MemoryPeak(bench.server, bench.on_gpu)
    with before:
        wait_until_settled(bench.server)
    async with Client(bench.server) as client:
        system = await client.get("/system_stats")
        for task in bench.models.tasks():
            runs.append(await _run(client, bench, name, task, before))
            await client.free()
            wait_until_settled(bench.server)
    return system, runs


async def _run(client: Client, bench: Bench, name: str, task: str, before: MemoryPeak) -> Run:
    scheme = None if name == FLOAT else name
    nodes = graph(task, bench.models.loaders(task, scheme), bench.video)
    with MemoryPeak(bench.server, bench.on_gpu) as memory:
        first = await _follow(client, nodes, f"{name}, {task}, warm-up")
        second = await _follow(client, nodes, f"{name}, {task}, timed")
    latent = _latent(bench.base, second)
    used = [component for component in LOADERS if component in nodes]
    files = bench.models.chosen(task, scheme)
    return Run(
        name=name, task=task, files={component: files[component].bytes for component in used},
        kernels={component: kernel for component in used if (kernel := _kernel(second.outputs.get(component, {})))},
        step_times=second.step_times, seconds=[first.seconds, second.seconds],
        memory={"before": before.peak, "peak": memory.peak, "device_before": before.device_peak, "device_peak": memory.device_peak},
        repeat_difference=(latent - _latent(bench.base, first)).abs().max().item(), latent=latent, preview=second.preview,
    )  # fmt: skip


async def _follow(client: Client, nodes: dict, title: str) -> Outcome:
    print(f"{title}: step", end="", flush=True)
    outcome = await client.run(nodes, SAMPLER, lambda step, steps: print(f" {step}/{steps}", end="", flush=True))
    print(f", {outcome.seconds:.1f} s", flush=True)
    return outcome


def _latent(base: Path, outcome: Outcome) -> torch.Tensor:
    saved = outcome.outputs[SAVE]["latents"][0]
    return load_file(base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"].double()


def _kernel(shown: dict) -> str:
    """The kernel and why, from the text that a loader node shows; empty if it is no such text."""
    found = re.search(r"^kernel ([^,\n]+),.*^why this kernel: ([^\n]*)", "\n".join(shown.get("text", ())), re.DOTALL | re.MULTILINE)
    return f"{found[1]}: {found[2]}" if found else ""
