"""Wan2.1-T2V-14B, 832x480x81, cfg 1, on a card whose VRAM does not hold it: every way of offloading beside the resident model and ComfyUI's own ways.

    python benchmarks/offload.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json
    python benchmarks/offload.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json --stress

A process a way; another process holds the rest of the VRAM. For each: seconds a step, the driver's peak VRAM above the process's idle CUDA context,
the most anonymous, shared and pinned host memory, whether the latents are the resident model's bit for bit, and what the node said. With --stress:
runs that are interrupted, run out of memory, or have another model between them, and what is left of memory afterwards. `--device cpu` runs a small
model, to see that the script works; its figures mean nothing. The result is written after each way.
"""

import argparse
import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import host
from offload_variants import LIMITS, RESIDENT, WAYS, Way

FOLDER = "lightquant-offload"
"""Made in the given folder, and emptied."""

ENOUGH_S = 40
"""A way takes about so long; none begins when less is left."""

INPUTS = {"granularity": "block", "vram": 0.0, "keep": 0.0, "pinned": True, "pinned_limit": 0.0, "from_disk": False, "chunk_rows": 0}
"""The node's defaults."""

STRESSED = "blocks, pinned", "blocks, from disk", "dynamic VRAM, node"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument("--folder", default="/tmp/lightquant-bench", help="where the files of up to 15 GB are made, one at a time")
    parser.add_argument("--ways", type=lambda names: [name.strip() for name in names.split(";")], help=f"with semicolons: {'; '.join(WAYS)}")
    parser.add_argument("--limit", type=float, help=f"GiB of VRAM that are left free; by format if left out: {LIMITS}")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--latent", type=int, nargs=3, default=[21, 60, 104], metavar=("T", "H", "W"))
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--stress", action="store_true")
    parser.add_argument("--runs", type=int, default=50, help="of --stress")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end about then; what is left out is listed")
    parser.add_argument("--child", nargs=2, metavar=("make|measure|stress", "NAME"), help="do one thing in this process (used by the script itself)")
    return parser.parse_args()


def wanted(options: argparse.Namespace) -> dict[str, list[str]]:
    """Format -> the ways to measure, the resident one first; on the CPU those without dynamic VRAM."""
    labels = options.ways or [label for label in WAYS if not options.stress or label.endswith(STRESSED)]
    labels = [label for label in labels if not (options.device == "cpu" and (WAYS[label].dynamic or WAYS[label].arguments))]
    labels.sort(key=lambda label: not label.endswith(f" {RESIDENT}"))
    return {name: found for name in LIMITS if (found := [label for label in labels if WAYS[label].format == name])}


def start(way: Way, options: argparse.Namespace) -> None:
    """ComfyUI in this process, in the way's memory mode."""
    if way.dynamic:
        host.start_comfyui(options.comfyui)
        return
    sys.path.insert(0, options.comfyui)
    from comfy.cli_args import args

    args.cpu = options.device == "cpu"
    for name in way.arguments:
        setattr(args, name, True)


def file_of(format_name: str, options: argparse.Namespace) -> Path:
    return Path(options.folder, FOLDER, f"{format_name}.safetensors")


def make(format_name: str, options: argparse.Namespace) -> None:
    """Write the format's file: on the GPU the 14B model, on the CPU a small one."""
    start(Way(), options)
    import torch

    sys.path.append(str(host.REPOSITORY / "scripts"))
    path = file_of(format_name, options)
    with torch.inference_mode():
        if options.device == "cpu":
            import small_models

            small_models.save(small_models.quantized(small_models.dit(blocks=options.blocks), "dit", format_name), path)
        else:
            import random_wan
            from safetensors.torch import save_file

            save_file(random_wan.model(format_name, heavy=False, blocks=options.blocks), path)
            random_wan.note_depth(path.parent, options.blocks)


def open_model(way: Way, options: argparse.Namespace, said: list[str]):
    """The MODEL of a way, loaded as the graph loads it."""
    from lightquant.bridge import clones
    from lightquant.bridge.load import Request, load
    from lightquant.offload.apply import offload
    from lightquant.offload.settings import Settings

    model = load(Request("dit", str(file_of(way.format, options)), dtype="bf16" if options.device == "cuda" else "auto")).model
    if way.node is None:
        return model
    clone, chosen = clones.clone_of(model), {**INPUTS, **way.node}
    settings = Settings(
        chosen["vram"], chosen["keep"], chosen["granularity"], chosen["pinned"], chosen["pinned_limit"], chosen["from_disk"], chosen["chunk_rows"]
    )
    said.append(offload(clone, settings, said.append))
    return clone


class Memory:
    """VRAM and host memory of this process, from here on; on the CPU there is no VRAM."""

    def __init__(self, device: str):
        from start import HostMemory

        self.vram = host.VRAM() if device == "cuda" else None
        self.host = HostMemory()

    def now(self) -> dict[str, float]:
        return {"vram_gib": self.vram.now_gib() if self.vram else 0.0, "host_gib": self.host.now()}

    def peaks(self) -> dict[str, float]:
        return {"peak_gib": self.vram.peak_gib() if self.vram else 0.0, "host_idle_gib": self.host.idle, "host_peak_gib": self.host.peak}


@contextlib.contextmanager
def limited(way: Way, options: argparse.Namespace):
    """This process with its CUDA context, and no more VRAM beside it than the way allows; gives its Memory."""
    import lightquant.bridge.load  # noqa: F401  ComfyUI's server has imported the pack long before
    import torch

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if options.device == "cuda":
            from holding import held_down_to

            torch.empty(1, device="cuda")
            if way.held:
                stack.enter_context(held_down_to(options.limit or LIMITS[way.format]))
        yield Memory(options.device)


def measure(label: str, options: argparse.Namespace) -> dict:
    """A way's row, in a process of its own. The resident model's latents stay in the folder for the others."""
    way, said = WAYS[label], []
    start(way, options)
    import dit_step
    import torch

    reference = file_of(way.format, options).with_suffix(".pt")
    with limited(way, options) as memory:
        begun = time.perf_counter()
        model = open_model(way, options, said)
        latents, _, ended = dit_step.sample(model, dit_step.TIMED_SEED, options.steps, options, heavy=False)
        again, _, ended_again = dit_step.sample(model, dit_step.TIMED_SEED, options.steps, options, heavy=False)
        peaks = memory.peaks()
        if label.endswith(f" {RESIDENT}"):
            torch.save(latents, reference)
        same = torch.equal(latents, torch.load(reference)) if reference.exists() else None
    step_s = [later - earlier for times in (ended, ended_again) for earlier, later in itertools.pairwise(times)]
    return {
        "variant": label, "format": way.format, "dynamic": way.dynamic, "node": way.node,
        "limit_gib": (options.limit or LIMITS[way.format]) if way.held else None, "file_to_first_step_s": ended[0] - begun, "step_s": step_s,
        "median_step_s": statistics.median(step_s), **peaks, "identical_to_resident": same, "second_run_identical": torch.equal(latents, again),
        "said": said, "environment": host.environment(options.commit),
    }  # fmt: skip


def stress(label: str, options: argparse.Namespace) -> dict:
    """A way's row of --stress, in a process of its own."""
    way, said = WAYS[label], []
    start(way, options)
    import offload_stress

    with limited(way, options) as memory:
        found = offload_stress.run(lambda: open_model(way, options, said), memory.now, options)
    about = {"variant": label, "format": way.format, "dynamic": way.dynamic, "node": way.node}
    return about | found | {"environment": host.environment(options.commit)}


CHILDREN = {"make": make, "measure": measure, "stress": stress}


def child(what: str, name: str, options: argparse.Namespace, seconds: float) -> dict | str:
    """What a process of its own gives, or how it ended."""
    part = Path(options.folder, FOLDER, "row.json")
    part.unlink(missing_ok=True)
    command = [sys.executable, *sys.argv, "--out", str(part), "--child", what, name]
    try:
        ended = subprocess.run(command, check=False, timeout=None if seconds == float("inf") else seconds).returncode
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    if ended:
        return f"its process ended with {ended}"
    return json.loads(part.read_text(encoding="utf-8")) if part.exists() else {}


def main() -> None:
    options = parse()
    if options.child:
        what, name = options.child
        row = CHILDREN[what](name, options)
        if row is not None:
            host.write(options.out, row)
        sys.stdout.flush()
        os._exit(0)  # at a regular exit comfy-aimdo's thread was seen to abort the process, after everything was done
    begun = time.perf_counter()
    folder = Path(options.folder, FOLDER)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    what = "stress" if options.stress else "measure"
    result = {
        "what": "Wan2.1-T2V-14B, random weights, cfg 1, VRAM held down" if options.device == "cuda" else "a small model, to try the script",
        "options": {**vars(options), "seconds": str(options.seconds)}, "environment": {}, "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip
    for format_name, labels in wanted(options).items():
        made = child("make", format_name, options, options.seconds)
        for label in labels:
            left = options.seconds - (time.perf_counter() - begun)
            if isinstance(made, str) or left < ENOUGH_S:
                result["left_out"].append(label)
                continue
            row = child(what, label, options, left)
            if isinstance(row, str):
                result["failed"][label] = row
            else:
                result["environment"] = row.pop("environment") | {"command": " ".join(sys.argv)}
                result["rows"].append(row)
                print(label, {key: round(value, 4) for key, value in row.items() if isinstance(value, float)}, flush=True)
            host.write(options.out, result)
        file_of(format_name, options).unlink(missing_ok=True)
    host.write(options.out, result)
    shutil.rmtree(folder)
    print(*(f"{key} {result[key]}" for key in ("left_out", "failed")), sep="\n")


if __name__ == "__main__":
    main()
