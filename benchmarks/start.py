"""From a file of Wan2.1-T2V-14B to the end of the first step: this pack against ComfyUI core, one storage form against another.

    python benchmarks/start.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

Every start is a process of its own, the variants take turns, and the files are in the page cache, three of them at a time, as a disk may not hold
more. For each variant: the seconds of every start, and the most anonymous, shared and pinned host memory that the process held (mapped files are not
the process's own). The result is written after each start.
"""

import argparse
import os
import re
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import arguments
import children
import host

VARIANTS = {
    "core-fp8": "core-fp8.safetensors",
    "lightquant-fp8-torch": "fp8-channel.safetensors",
    "lightquant-fp8-torch, split by block": "fp8-channel_split",
    "core-int8": "core-int8.safetensors",
    "lightquant-int8-torch": "int8-channel.safetensors",
}
"""Variant -> what it is loaded from."""

MOST_FILES = 3

ENOUGH_S = 25
"""A start takes about so long; none begins when less is left."""


def parse() -> argparse.Namespace:
    parser = arguments.whole_steps(__doc__, steps=1)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print where a start's time goes")
    parser.add_argument("--child", nargs=2, metavar=("make|start", "NAME"), help="do one thing in this process (used by the script itself)")
    return parser.parse_args()


def make(storage: str, names: list[str], folder: Path, options: argparse.Namespace) -> None:
    """Write a model in one storage, as one file, split by block, or both."""
    host.start_comfyui(options.comfyui, options.device)
    import random_wan
    import small_models
    import torch

    with torch.inference_mode():
        tensors = random_wan.model(storage, heavy=False, blocks=options.blocks)
        random_wan.note_depth(folder, options.blocks)
        for name in names:
            write = small_models.save_split if name.endswith("_split") else small_models.save
            write(tensors, folder / name)
            if name.endswith("_split"):
                random_wan.note_depth(folder / name, options.blocks)


class HostMemory:
    """The process's own memory, sampled every few milliseconds in a thread."""

    def __init__(self):
        self.idle = self.peak = self.now()
        self._running = True
        threading.Thread(target=self._watch, daemon=True).start()

    @staticmethod
    def now() -> float:
        status = Path("/proc/self/status").read_text()
        return sum(int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) for field in ("RssAnon", "RssShmem", "VmPin")) / 2**20

    def _watch(self) -> None:
        while self._running:
            self.peak = max(self.peak, self.now())
            time.sleep(0.01)

    def stop(self) -> None:
        self._running = False


def start(variant: str, options: argparse.Namespace) -> dict:
    """One start, in a fresh process."""
    host.start_comfyui(options.comfyui, options.device)
    import comfy.sample  # ComfyUI's server has imported these long before, for either side
    import comfy.sd  # noqa: F401
    import dit_step
    import torch

    path = Path(options.folder, host.FOLDER, VARIANTS[variant])
    loaded_by = variant.split(",")[0]
    torch.empty(1, device=options.device)
    if loaded_by.startswith("lightquant"):
        import lightquant.nodes  # noqa: F401  that much of the pack too
    memory = HostMemory()
    with torch.inference_mode():
        begun = time.perf_counter()
        model = dit_step.load(loaded_by, {}, path)
        loaded = time.perf_counter()
        *_, ended = dit_step.sample(model, dit_step.TIMED_SEED, 1, options, heavy=False)
    memory.stop()
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.glob("*.safetensors")))
    return {
        "file_gib": size / 2**30, "load_s": loaded - begun, "file_to_first_step_s": ended[0] - begun,
        "host_idle_gib": memory.idle, "host_peak_gib": memory.peak, "environment": host.environment(options.commit),
    }  # fmt: skip


def child(options: argparse.Namespace) -> None:
    """Make the files of one storage, or start once, in this process."""
    what, name = options.child
    if what == "make":
        make(name, [file for file in files(options.variants) if storage_of(file) == name], Path(options.folder, host.FOLDER), options)
    elif options.profile:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        row = profile.runcall(start, name, options)
        print(name, row)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(70)
        host.write(options.out, row)
    else:
        host.write(options.out, start(name, options))


def main() -> None:
    options = parse()
    if options.child:
        child(options)
        children.end()
    begun, starts = time.perf_counter(), {}
    result = {
        "what": "Wan2.1-T2V-14B, random weights, from the file to the end of the first step",
        "options": {**vars(options), "seconds": str(options.seconds)}, "environment": {}, "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip
    for variants in batches(options.variants):
        part = host.fresh(options.folder) / "row.json"
        for storage in dict.fromkeys(map(storage_of, files(variants))):
            made = children.run(part, "make", storage, more=["--variants", *variants])
            if isinstance(made, str):
                result["failed"][storage] = made
        os.sync()  # the first start would wait for what is still being written
        for variant in variants * options.starts:
            if options.seconds - (time.perf_counter() - begun) < ENOUGH_S:
                result["left_out"].append(variant)
                continue
            row = children.run(part, "start", variant)
            if isinstance(row, str):
                result["failed"][variant] = row
            else:
                starts.setdefault(variant, []).append(row)
                result["environment"] = row["environment"] | {"command": " ".join(sys.argv)}
                result["rows"] = [summary(each, found) for each, found in starts.items()]
                print(variant, host.shown(row), flush=True)
            host.write(options.out, result)
    host.write(options.out, result)
    shutil.rmtree(Path(options.folder, host.FOLDER))
    print(*(f"{key} {result[key]}" for key in ("left_out", "failed")), sep="\n")


def batches(variants: list[str]) -> Iterator[list[str]]:
    """The variants that are compared with each other, of so few files that a disk holds them."""
    for first in range(0, len(variants), MOST_FILES):
        yield variants[first : first + MOST_FILES]


def files(variants: list[str]) -> list[str]:
    """What the variants are loaded from."""
    return list(dict.fromkeys(VARIANTS[variant] for variant in variants))


def storage_of(file: str) -> str:
    """The name in random_wan.STORAGES of what a file holds."""
    return re.split(r"[._]", file)[0]


def summary(variant: str, starts: list[dict]) -> dict:
    """One variant's starts together."""
    seconds = [each["file_to_first_step_s"] for each in starts]
    return {
        "variant": variant, "file_gib": starts[0]["file_gib"], "samples_s": seconds, "median_s": statistics.median(seconds),
        "load_s": [each["load_s"] for each in starts], "host_idle_gib": max(each["host_idle_gib"] for each in starts),
        "host_peak_gib": max(each["host_peak_gib"] for each in starts),
    }  # fmt: skip


if __name__ == "__main__":
    main()
