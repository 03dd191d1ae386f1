"""Whole steps of Wan2.1-T2V-14B, 832x480x81, cfg 1, under every scheme that runs here, beside bf16 and, if named, ComfyUI core's own fp8 and int8.

    python benchmarks/dit_schemes.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

A process a format: it makes the format's file once, and loads and samples it with one scheme after another through the pack's loader. For each:
seconds a step, the driver's peak VRAM above the process's idle CUDA context and what was in use before, the error against bf16 and the cosine of the
sampled latents, whether the first prediction is the same a second time, and for --profile NAMES what one more step is spent on. The result is written
after each, so that a run that is stopped keeps what was done.
"""

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import arguments
import children
import dit_step
import host
from dit_step import BF16, CORE

ENOUGH_S = 30
"""A scheme takes about so long; none begins when less is left."""


def parse() -> argparse.Namespace:
    parser = arguments.whole_steps(__doc__, steps=4)
    arguments.attention(parser)
    parser.add_argument(
        "--schemes", type=lambda names: names.split(","),
        help=f"with commas: schemes, {', '.join((BF16, *CORE))}, each with +WORD as in dit_step.py; bf16 and all schemes if left out",
    )  # fmt: skip
    parser.add_argument("--weights", default="gaussian", choices=["gaussian", "heavy"])
    parser.add_argument(
        "--profile", type=lambda names: names.split(","), default=[], help="of these, with commas, say what one more step is spent on"
    )
    parser.add_argument("--child", metavar="FORMAT", help="measure one format's schemes in this process (used by the script itself)")
    return parser.parse_args()


def grouped(schemes: list[str] | None) -> dict[str, list[str]]:
    """Storage -> what to measure of it: bf16 first, then as they are named; by themselves the formats with few schemes first, measured nowhere else.

    SystemExit for a name that there is none of.
    """
    from lightquant.schemes import ATTENTIONS, AUTO, SCHEMES

    wanted = schemes or list(SCHEMES)
    known, words = (BF16, *CORE, *SCHEMES), (*dit_step.ADDED, *ATTENTIONS, AUTO)
    for name in wanted:
        base, *added = name.split("+")
        if base not in known or not set(added) <= set(words):
            raise SystemExit(f"{name} can not be measured: there are {', '.join(known)}, with {', '.join(words)} behind a +")
    storage_of = {name: SCHEMES[base].format if (base := base_of(name)) in SCHEMES else base for name in [BF16, *wanted]}
    storages = list(dict.fromkeys(storage_of.values()))
    if schemes is None:
        storages.sort(key=lambda storage: (storage != BF16, storage.endswith("-channel"), storage))
    return {storage: [name for name, of_it in storage_of.items() if of_it == storage] for storage in storages}


def base_of(name: str) -> str:
    """The scheme of a scheme with something added; or bf16, or one of core's."""
    return name.split("+")[0]


def is_ours(name: str) -> bool:
    """Whether it is one of the pack's schemes."""
    return base_of(name) not in (BF16, *CORE)


def file_of(format_name: str, options: argparse.Namespace) -> Path:
    """Where a format's file is, while it is needed."""
    return Path(options.folder, host.FOLDER, f"{format_name}.safetensors")


def opened(scheme: str, tensors: dict, path: Path, options: argparse.Namespace):
    """The MODEL of a scheme, with the attention that the pack's are measured with."""
    from lightquant.schemes import ATTENTIONS, COMFYUI

    if not is_ours(scheme):
        return dit_step.load(scheme, tensors, path)
    base, *words = scheme.split("+")
    if options.attention != COMFYUI and not set(words) & set(ATTENTIONS):
        words.insert(0, options.attention)
    return dit_step.load("+".join([dit_step.OURS + base, *words]), tensors, path)


def measure(scheme: str, tensors: dict, path: Path, vram: host.VRAM, options: argparse.Namespace) -> dict:
    """One scheme's row; bf16 leaves in the folder what the others are compared with."""
    import torch
    from lightquant.bridge.attention_hook import override_of
    from lightquant.bridge.record import record_of

    host.free()
    torch.cuda.empty_cache()
    held, heavy = vram.now_gib(), options.weights == "heavy"
    vram.restart()
    begun = time.perf_counter()
    model = opened(scheme, tensors, path, options)
    load_s = time.perf_counter() - begun
    latents, prediction, ended = dit_step.sample(model, dit_step.TIMED_SEED, options.steps, options, heavy)
    _, again, _ = dit_step.sample(model, dit_step.TIMED_SEED, 1, options, heavy)
    peak, record, override = vram.peak_gib(), record_of(model), override_of(model)
    step_s = [later - earlier for earlier, later in itertools.pairwise(ended)]
    row = {
        "variant": scheme, "kernel": record.variant if record else "torch", "attention": override.kernel.name if override else "comfyui",
        "dynamic_vram": model.is_dynamic(), "weights": options.weights, "load_s": load_s, "file_to_first_step_s": ended[0] - begun, "step_s": step_s,
        "median_step_s": statistics.median(step_s), "peak_gib": peak, "held_before_gib": held,
        "second_run_identical": torch.equal(prediction, again),
    }  # fmt: skip
    row |= dit_step.compared([prediction], latents, path.parent / "reference.pt", scheme == BF16)
    row |= profile_of(model, options) if scheme in options.profile else {}
    host.free()  # while there is a model: ComfyUI keeps the module whose weight was the largest, and with it the pages of a model that is gone
    return row


def profile_of(model, options: argparse.Namespace) -> dict:
    """What one more step is spent on; a profiler that does not work here costs no row."""
    import step_profile

    try:
        step = step_profile.profiled(lambda: dit_step.sample(model, dit_step.TIMED_SEED, 1, options, options.weights == "heavy"))
    except RuntimeError as problem:
        return {"not_profiled": str(problem)}
    return {"profile": step}


def supported(schemes: list[str], result: dict, options: argparse.Namespace) -> list[str]:
    """Those of the schemes whose kernels run here; the result gets the reasons of the others."""
    import torch
    from lightquant.kernels import attention, best_variant, check_all

    device = torch.device(options.device, 0 if options.device == "cuda" else None)
    check_all(device)  # in one process for all, where each would ask for its own
    attention.check_all(device)
    kernels = {scheme: best_variant(base_of(scheme), device) for scheme in schemes if is_ours(scheme)}
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
    host.start_comfyui(options.comfyui, options.device)
    import torch

    result = json.loads(Path(options.out).read_text(encoding="utf-8"))
    result["environment"] = host.environment(options.commit) | {"command": result["command"]}
    vram, path = host.VRAM(), file_of(format_name, options)
    schemes = supported(grouped(options.schemes)[format_name], result, options)
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
                result["rows"].append(row if format_name == BF16 else row | {"file_gb": path.stat().st_size / 1e9})
                show(row)
            host.write(options.out, result)
    host.write(options.out, result)
    path.unlink(missing_ok=True)


def show(row: dict) -> None:
    print(host.shown(row), host.shown(row.get("profile", {})), flush=True)


def main() -> None:
    options = parse()
    if options.child:
        child(options.child, options)
        children.end()
    begun, groups = time.perf_counter(), grouped(options.schemes)
    folder = host.fresh(options.folder)
    result = {
        "what": "Wan2.1-T2V-14B, random weights, cfg 1, a process a format", "options": {**vars(options), "seconds": str(options.seconds)},
        "command": " ".join(sys.argv), "environment": {}, "missing": {}, "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip
    host.write(options.out, result)
    for format_name, schemes in groups.items():
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
