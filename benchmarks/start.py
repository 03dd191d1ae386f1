"""From a file of Wan2.1-T2V-14B to the end of the first step: this pack against ComfyUI core, one storage form against another.

    python benchmarks/start.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

Every start is a process of its own, the variants take turns, and the files are in the page cache. For each variant: the seconds of every start, and
the most anonymous, shared and pinned host memory that the process held (mapped files are not the process's own).
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import host

VARIANTS = {
    "core-fp8": "core-fp8.safetensors",
    "lightquant-fp8-torch": "fp8-channel.safetensors",
    "lightquant-fp8-torch, split by block": "fp8-channel_split",
    "core-int8": "core-int8.safetensors",
    "lightquant-int8-torch": "int8-channel.safetensors",
}
"""Variant -> what it is loaded from."""

FOLDER = "lightquant-starts"
"""Made in the given folder, and emptied: what a run that was stopped has left would fill the disk."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument("--folder", default="/tmp/lightquant-bench", help="where the 14 GB files are made, three at a time")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--latent", type=int, nargs=3, default=[21, 60, 104], metavar=("T", "H", "W"))
    parser.add_argument("--profile", action="store_true", help="print where a start's time goes")
    parser.add_argument("--child", nargs=2, metavar=("make|start", "NAME"), help="do one thing in this process (used by the script itself)")
    return parser.parse_args()


def make(storage: str, names: list[str], folder: Path, blocks: int) -> None:
    """Write a model in one storage, as one file, split by block, or both."""
    sys.path.append(str(host.REPOSITORY / "scripts"))
    import random_wan
    import small_models
    import torch

    with torch.inference_mode():
        tensors = random_wan.model(storage, heavy=False, blocks=blocks)
        random_wan.note_depth(folder, blocks)
        for name in names:
            write = small_models.save_split if name.endswith("_split") else small_models.save
            write(tensors, folder / name)
            if name.endswith("_split"):
                random_wan.note_depth(folder / name, blocks)


class HostMemory:
    """The process's own memory, sampled every few milliseconds in a thread."""

    def __init__(self):
        self.idle = self.peak = self.now()
        threading.Thread(target=self._watch, daemon=True).start()

    @staticmethod
    def now() -> float:
        status = Path("/proc/self/status").read_text()
        return sum(int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) for field in ("RssAnon", "RssShmem", "VmPin")) / 2**20

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, self.now())
            time.sleep(0.01)


def start(variant: str, options: argparse.Namespace) -> dict:
    """One start, in a fresh process."""
    host.start_comfyui(options.comfyui)
    import dit_step
    import torch

    path = Path(options.folder) / FOLDER / VARIANTS[variant]
    loaded_by = variant.split(",")[0]
    torch.empty(1, device="cuda")
    if loaded_by.startswith("lightquant"):
        import lightquant.nodes  # noqa: F401  ComfyUI's server has imported that much of the pack long before
    memory = HostMemory()
    with torch.inference_mode():
        begun = time.perf_counter()
        model = dit_step.load(loaded_by, {}, path)
        loaded = time.perf_counter()
        *_, ended = dit_step.sample(model, dit_step.TIMED_SEED, 1, options, heavy=False)
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.glob("*.safetensors")))
    return {
        "file_gib": size / 2**30, "load_s": loaded - begun, "file_to_first_step_s": ended[0] - begun,
        "host_idle_gib": memory.idle, "host_peak_gib": memory.peak, "environment": host.environment(options.commit),
    }  # fmt: skip


def main() -> None:
    options = parse()
    folder = Path(options.folder) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if options.child:
        what, name = options.child
        if what == "make":
            make(name, [file for file in files(options) if storage_of(file) == name], folder, options.blocks)
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
        sys.stdout.flush()
        os._exit(0)  # at a regular exit comfy-aimdo's thread was seen to abort the process, after everything was done
    shutil.rmtree(folder)
    folder.mkdir()
    starts: dict[str, list[dict]] = {variant: [] for variant in options.variants}
    for storage in dict.fromkeys(map(storage_of, files(options))):
        run("make", storage, options)
    for variant in options.variants * options.starts:
        starts[variant].append(run("start", variant, options))
        print(variant, {key: round(value, 2) for key, value in starts[variant][-1].items() if isinstance(value, float)}, flush=True)
    rows = [summary(variant, found) for variant, found in starts.items()]
    shutil.rmtree(folder)
    environment = starts[options.variants[0]][0]["environment"] | {"command": " ".join(sys.argv)}
    what = "Wan2.1-T2V-14B, random weights, from the file to the end of the first step"
    host.write(options.out, {"what": what, "options": vars(options), "rows": rows, "environment": environment})


def files(options: argparse.Namespace) -> list[str]:
    """What the variants are loaded from."""
    return list(dict.fromkeys(VARIANTS[variant] for variant in options.variants))


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


def run(what: str, name: str, options: argparse.Namespace) -> dict:
    part = f"{options.folder}/{FOLDER}/row.json"
    subprocess.run([sys.executable, *sys.argv, "--out", part, "--child", what, name], check=True)
    return json.loads(Path(part).read_text()) if what == "start" else {}


if __name__ == "__main__":
    main()
