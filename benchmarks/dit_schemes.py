"""Whole steps of Wan2.1-T2V-14B, 832x480x81, cfg 1, under every scheme that runs here, beside bf16.

    python benchmarks/dit_schemes.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

A process a format: it makes the format's file once, and loads and samples it with one scheme after another through the pack's loader. For each:
seconds a step, the driver's peak VRAM above the process's idle CUDA context and what was in use before, the error against bf16, and whether the first
prediction is the same a second time. The result is written after each, so that a run that is stopped keeps what was done.
"""

import argparse
import gc
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import dit_step
import host

BF16 = "bf16"

FOLDER = "lightquant-schemes"
"""Made in the given folder, and emptied: what a run that was stopped has left would fill the disk."""

ENOUGH_S = 30
"""A scheme takes about so long; none begins when less is left."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument("--folder", default="/tmp/lightquant-bench", help="where the files of up to 15 GB are made, one at a time")
    parser.add_argument(
        "--schemes", type=lambda names: names.split(","), help="of the table of schemes, with commas, +WORD as in dit_step.py; all if left out"
    )
    parser.add_argument("--weights", default="gaussian", choices=["gaussian", "heavy"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--latent", type=int, nargs=3, default=[21, 60, 104], metavar=("T", "H", "W"))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end about then; what is left out is listed")
    parser.add_argument("--child", metavar="FORMAT", help="measure one format's schemes in this process (used by the script itself)")
    return parser.parse_args()


def grouped(schemes: list[str] | None) -> dict[str, list[str]]:
    """Format -> the schemes to measure, bf16 first, then the formats with few schemes, which are measured nowhere else."""
    from lightquant.schemes import SCHEMES

    wanted = schemes or list(SCHEMES)
    format_of = {name: SCHEMES[base_of(name)].format for name in wanted if base_of(name) != BF16}
    formats = sorted(set(format_of.values()), key=lambda format_name: (format_name.endswith("-channel"), format_name))
    floats = [name for name in wanted if name not in format_of and name != BF16]
    return {BF16: [BF16, *floats], **{each: [name for name, of_it in format_of.items() if of_it == each] for each in formats}}


def base_of(name: str) -> str:
    """The scheme of a scheme with something added, or bf16."""
    return name.split("+")[0]


def file_of(format_name: str, options: argparse.Namespace) -> Path:
    """Where a format's file is, while it is needed."""
    return Path(options.folder, FOLDER, f"{format_name}.safetensors")


def free() -> None:
    """Give back what the last model held on the GPU."""
    import comfy.model_management
    import torch

    comfy.model_management.unload_all_models()
    gc.collect()
    comfy.model_management.soft_empty_cache()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def measure(scheme: str, tensors: dict, path: Path, vram: host.VRAM, options: argparse.Namespace) -> dict:
    """One scheme's row; bf16 leaves in the folder what the others are compared with."""
    import torch
    from lightquant.bridge.record import record_of
    from lightquant.kernels.reference import relative_error

    free()
    held, heavy = vram.now_gib(), options.weights == "heavy"
    vram.restart()
    begun = time.perf_counter()
    model = dit_step.load(scheme if base_of(scheme) == BF16 else dit_step.OURS + scheme, tensors, path)
    load_s = time.perf_counter() - begun
    latents, prediction, ended = dit_step.sample(model, dit_step.TIMED_SEED, options.steps, options, heavy)
    _, again, _ = dit_step.sample(model, dit_step.TIMED_SEED, 1, options, heavy)
    peak, allocated = vram.peak_gib(), torch.cuda.max_memory_allocated() / 2**30
    reference = path.parent / "reference.pt"
    if scheme == BF16:
        torch.save((prediction, latents), reference)
    expected, expected_latents = torch.load(reference)
    record, error, step_s = record_of(model), relative_error(prediction, expected), [b - a for a, b in itertools.pairwise(ended)]
    return {
        "variant": scheme, "kernel": record.variant if record else "torch", "weights": options.weights, "load_s": load_s,
        "file_to_first_step_s": ended[0] - begun, "step_s": step_s, "median_step_s": statistics.median(step_s), "peak_gib": peak,
        "allocated_by_torch_gib": allocated, "held_before_gib": held, "second_run_identical": torch.equal(prediction, again),
        "errors_of_predictions": [error], "mean_error": error, "error_of_latents": relative_error(latents, expected_latents),
    }  # fmt: skip


def supported(schemes: list[str], result: dict) -> list[str]:
    """Those of the schemes whose kernels run here; the result gets the reasons of the others."""
    import torch
    from lightquant.kernels import best_variant

    kernels = {scheme: best_variant(base_of(scheme), torch.device("cuda", 0)) for scheme in schemes if base_of(scheme) != BF16}
    result["missing"] |= {scheme: why for scheme, (kernel, why) in kernels.items() if kernel is None}
    return [scheme for scheme in schemes if scheme not in result["missing"]]


def make(format_name: str, path: Path, options: argparse.Namespace) -> dict:
    """Write a format's file; bf16 stays in memory and is returned."""
    import random_wan

    tensors = random_wan.model(format_name, options.weights == "heavy", options.blocks)
    if format_name == BF16:
        return tensors
    random_wan.save(tensors, path, options.blocks)
    return {}


def child(format_name: str, options: argparse.Namespace) -> None:
    """Measure the schemes of a format that run here, adding each to the result."""
    begun = time.perf_counter()
    host.start_comfyui(options.comfyui)
    import torch

    result = json.loads(Path(options.out).read_text(encoding="utf-8"))
    result["environment"] = host.environment(options.commit) | {"command": result["command"]}
    vram, path = host.VRAM(), file_of(format_name, options)
    schemes = supported(grouped(options.schemes)[format_name], result)
    host.write(options.out, result)
    with torch.inference_mode():
        tensors = make(format_name, path, options) if schemes else {}
        for scheme in schemes:
            if time.perf_counter() - begun > options.seconds - ENOUGH_S:
                result["left_out"].append(scheme)
                continue
            try:
                row = measure(scheme, tensors, path, vram, options)
            except Exception as problem:  # the next scheme may do better
                result["failed"][scheme] = f"{type(problem).__name__}: {problem}"
            else:
                result["rows"].append(row if base_of(scheme) == BF16 else row | {"file_gb": path.stat().st_size / 1e9})
                show(row)
            host.write(options.out, result)
    host.write(options.out, result)
    path.unlink(missing_ok=True)


def show(row: dict) -> None:
    print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items() if not isinstance(value, list)}, flush=True)


def main() -> None:
    options = parse()
    if options.child:
        child(options.child, options)
        sys.stdout.flush()
        os._exit(0)  # at a regular exit comfy-aimdo's thread was seen to abort the process, after everything was done
    begun = time.perf_counter()
    folder = file_of(BF16, options).parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = " ".join(sys.argv)
    result = {
        "what": "Wan2.1-T2V-14B, random weights, cfg 1, a process a format", "options": {**vars(options), "seconds": str(options.seconds)},
        "command": command, "environment": {}, "missing": {}, "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip
    host.write(options.out, result)
    for format_name, schemes in grouped(options.schemes).items():
        left = options.seconds - (time.perf_counter() - begun)
        ended = 0
        if left > 2 * ENOUGH_S:  # the file has to be made too
            ended = subprocess.run([sys.executable, *sys.argv, "--child", format_name, "--seconds", str(left)], check=False).returncode
        result = json.loads(Path(options.out).read_text(encoding="utf-8"))
        if left <= 2 * ENOUGH_S:
            result["left_out"] += schemes
        elif ended:
            result["failed"][format_name] = f"its process ended with {ended}"
            file_of(format_name, options).unlink(missing_ok=True)
        host.write(options.out, result)
        print(f"{time.perf_counter() - begun:4.0f} s: {format_name}", flush=True)
    shutil.rmtree(folder)
    print(*(f"{key} {result[key]}" for key in ("missing", "left_out", "failed")), sep="\n")


if __name__ == "__main__":
    main()
