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
import shutil
import statistics
import sys
import time
from pathlib import Path

import arguments
import children
import host
from offload_variants import LIMITS, RESIDENT, WAYS, Way

ENOUGH_S = 60
"""A way takes about so long; none begins when less is left."""

STARTS_S = 40
"""What a process needs beside its runs, so that those of --stress end before it is killed."""

SMALL_LATENT = [5, 30, 52]
"""Of --stress, which is about memory and sameness: a step takes as long as its weights are on their way."""

INPUTS = {"granularity": "block", "vram": 0.0, "keep": 0.0, "pinned": True, "pinned_limit": 0.0, "from_disk": False, "chunk_rows": 0}
"""The node's defaults."""

STRESSED = "blocks, pinned", "blocks, from disk", "dynamic VRAM, node"


def parse() -> argparse.Namespace:
    parser = arguments.whole_steps(__doc__, steps=4)
    parser.set_defaults(latent=None)
    arguments.attention(parser)
    parser.add_argument("--ways", type=arguments.names(WAYS), help=f"with semicolons: {'; '.join(WAYS)}")
    parser.add_argument("--limit", type=float, help=f"GiB of VRAM that are left free; by format if left out: {LIMITS}")
    parser.add_argument("--stress", action="store_true")
    parser.add_argument("--runs", type=int, default=50, help="of --stress")
    parser.add_argument("--child", nargs=2, metavar=("make|measure|stress", "NAME"), help="do one thing in this process (used by the script itself)")
    options = parser.parse_args()
    options.latent = options.latent or (SMALL_LATENT if options.stress else arguments.WAN_480P)
    return options


def wanted(options: argparse.Namespace) -> dict[str, list[str]]:
    """Format -> the ways to measure, the resident one first; on the CPU those without dynamic VRAM."""
    labels = options.ways or [label for label in WAYS if not options.stress or label.endswith(STRESSED)]
    labels = [label for label in labels if not (options.device == "cpu" and (WAYS[label].dynamic or WAYS[label].arguments))]
    labels.sort(key=lambda label: not label.endswith(f" {RESIDENT}"))
    return {name: found for name in LIMITS if (found := [label for label in labels if WAYS[label].format == name])}


def start(way: Way, options: argparse.Namespace) -> None:
    """ComfyUI in this process, in the way's memory mode."""
    host.start_comfyui(options.comfyui, options.device, way.dynamic)
    if way.arguments:
        from comfy.cli_args import args

        for name in way.arguments:
            setattr(args, name, True)


def file_of(format_name: str, options: argparse.Namespace) -> Path:
    return Path(options.folder, host.FOLDER, f"{format_name}.safetensors")


def make(format_name: str, options: argparse.Namespace) -> None:
    """Write the format's file."""
    start(Way(), options)
    import random_wan
    import torch

    with torch.inference_mode():
        random_wan.save(random_wan.model(format_name, heavy=False, blocks=options.blocks), file_of(format_name, options), options.blocks)


def open_model(way: Way, options: argparse.Namespace, said: list[str]):
    """The MODEL of a way, loaded as the graph loads it."""
    import dit_step
    from lightquant.bridge import clones
    from lightquant.bridge.load import Request, load
    from lightquant.offload.apply import offload
    from lightquant.offload.settings import Settings

    model = dit_step.with_added(load(Request("dit", str(file_of(way.format, options)), dtype="bf16")).model, options.attention)
    if way.node is None:
        return model
    clone, chosen = clones.clone_of(model), {**INPUTS, **way.node}
    settings = Settings(
        chosen["vram"], chosen["keep"], chosen["granularity"], chosen["pinned"], chosen["pinned_limit"], chosen["from_disk"], chosen["chunk_rows"]
    )
    said.append(offload(clone, settings, said.append))
    return clone


class Memory:
    """VRAM and host memory of this process, from here on."""

    def __init__(self):
        from start import HostMemory

        self.vram, self.host = host.VRAM(), HostMemory()

    def now(self) -> dict[str, float]:
        return {"vram_gib": self.vram.now_gib(), "host_gib": self.host.now()}

    def peaks(self) -> dict[str, float]:
        return {"peak_gib": self.vram.peak_gib(), "host_idle_gib": self.host.idle, "host_peak_gib": self.host.peak}

    def stop(self) -> None:
        self.vram.stop()
        self.host.stop()


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
        memory = Memory()
        try:
            yield memory
        finally:
            memory.stop()


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


def main() -> None:
    options = parse()
    if options.child:
        what, name = options.child
        row = CHILDREN[what](name, options)
        if row is not None:
            host.write(options.out, row)
        children.end()
    begun, folder = time.perf_counter(), host.fresh(options.folder)
    part = folder / "row.json"
    what = "stress" if options.stress else "measure"
    result = {
        "what": "Wan2.1-T2V-14B, random weights, cfg 1, VRAM held down" if options.device == "cuda" else "a small model, to try the script",
        "options": {**vars(options), "seconds": str(options.seconds)}, "environment": {}, "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip

    def left() -> float:
        return options.seconds - (time.perf_counter() - begun)

    for format_name, labels in wanted(options).items():
        made = children.run(part, "make", format_name, seconds=left()) if left() > ENOUGH_S else "there was no time for it"
        for label in labels:
            if isinstance(made, str) or left() < ENOUGH_S:
                result["left_out"].append(label)
                continue
            row = children.run(part, what, label, more=["--seconds", str(left() - STARTS_S)], seconds=left())
            if isinstance(row, str):
                result["failed"][label] = row
            else:
                result["environment"] = row.pop("environment") | {"command": " ".join(sys.argv)}
                result["rows"].append(row)
                print(host.shown(row), flush=True)
            host.write(options.out, result)
        file_of(format_name, options).unlink(missing_ok=True)
    host.write(options.out, result)
    shutil.rmtree(folder)
    print(*(f"{key} {result[key]}" for key in ("left_out", "failed")), sep="\n")


if __name__ == "__main__":
    main()
