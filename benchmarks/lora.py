"""Whole steps of Wan2.1-T2V-14B, 832x480x81, cfg 1, with a LoRA on all linears: beside the quantized layers, and in every way that ComfyUI has.

    python benchmarks/lora.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

One process, one quantized model. For each way: seconds a step (every raw sample) and their ratio to those without a LoRA, the driver's peak VRAM, and
the relative error of the first prediction against bf16 with the same LoRA beside it, where nothing is rounded but to bf16. `without` is compared with
bf16 without a LoRA, and measured again at the end, as a GPU's clock drifts. The result is written after each way.

How much host memory ComfyUI may pin is fixed when it starts, so on a machine whose memory grows with its use, run another script first.
"""

import argparse
import itertools
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import arguments
import children
import dit_step
import host

WITHOUT = "without"

ENOUGH_S = 40
"""A way takes about so long at full size; none begins when less is left."""


def parse() -> argparse.Namespace:
    parser = arguments.whole_steps(__doc__, steps=4)
    arguments.attention(parser)
    parser.add_argument("--scheme", default="fp8-torch")
    parser.add_argument("--weights", default="gaussian", choices=["gaussian", "heavy"])
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--size", type=float, default=0.05, help="norm of the rows that the LoRA adds, where the weights' are 1 in the mean")
    parser.add_argument("--ways", type=arguments.names(WAYS), default=[*WAYS], help=f"of {'; '.join(WAYS)}, with semicolons")
    return parser.parse_args()


def make_lora(options: argparse.Namespace, shapes: dict[str, tuple[int, ...]], path: Path) -> None:
    """Write a random LoRA for every Linear among the shapes (key -> shape), in bf16."""
    import torch
    from safetensors.torch import save_file

    generator, tensors = torch.Generator().manual_seed(5), {}
    for key, shape in shapes.items():
        if len(shape) == 2 and key.endswith(".weight"):
            layer, (outputs, inputs) = f"diffusion_model.{key.removesuffix('.weight')}", shape
            down = torch.randn(options.rank, inputs, generator=generator) * inputs**-0.5
            up = torch.randn(outputs, options.rank, generator=generator) * (options.size * options.rank**-0.5)
            tensors |= {f"{layer}.lora_A.weight": down.bfloat16(), f"{layer}.lora_B.weight": up.bfloat16()}
    save_file(tensors, path)


def beside(model, path: str, count: int = 1):
    """count: so many nodes with a share of the strength each, which come to the same LoRA."""
    from lightquant.lora.apply import add_lora

    for _ in range(count):
        model = add_lora(model, path, 1.0 / count).model
    return model


def bypass(model, path: str):
    import comfy.sd
    import comfy.utils

    return comfy.sd.load_bypass_lora_for_models(model, None, comfy.utils.load_torch_file(path), 1.0, 0.0)[0]


def baked(model, path: str):
    import comfy.sd
    import comfy.utils

    return comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(path), 1.0, 0.0)[0]


WAYS: dict[str, tuple[Callable, bool]] = {
    WITHOUT: (lambda model, path: model, False),
    "beside": (beside, False),
    "beside, of three": (lambda model, path: beside(model, path, 3), False),
    "comfyui's bypass": (bypass, False),
    "baked": (baked, False),
    "without, streamed": (lambda model, path: model, True),
    "beside, streamed": (beside, True),
    "comfyui's low VRAM": (baked, True),
    "without, again": (lambda model, path: model, False),
}
"""Name -> how the LoRA comes to the model, and whether all weights are streamed for it, as ComfyUI does it without dynamic VRAM."""


def measure(way: str, load: Callable, path: str, reference: dict, vram: host.VRAM, options: argparse.Namespace) -> dict:
    """One row. load(streamed): the MODEL."""
    import comfy.model_management as management
    from lightquant.kernels.reference import relative_error

    add, streamed = WAYS[way]
    state = management.vram_state
    try:
        if streamed:
            management.vram_state = management.VRAMState.NO_VRAM
        begun = time.perf_counter()
        model = add(load(streamed), path)
        add_s = time.perf_counter() - begun
        vram.restart()
        _, prediction, ended = dit_step.sample(model, dit_step.TIMED_SEED, options.steps, options, options.weights == "heavy")
    finally:
        management.vram_state = state
    step_s = [later - earlier for earlier, later in itertools.pairwise(ended)]
    error = relative_error(prediction, reference["bf16" if way.startswith(WITHOUT) else "bf16 with the LoRA"])
    return {
        "way": way, "streamed": streamed, "add_s": add_s, "step_s": step_s, "median_step_s": statistics.median(step_s), "peak_gib": vram.peak_gib(),
        "error": error,
    }  # fmt: skip


def references(path: str, tensors: dict, options: argparse.Namespace) -> dict:
    """The first predictions of the float model, without the LoRA and with it."""
    model, made = dit_step.from_memory(tensors), {}
    for name, each in (("bf16", model), ("bf16 with the LoRA", bypass(model, path))):
        made[name] = dit_step.sample(each, dit_step.TIMED_SEED, 1, options, options.weights == "heavy")[1]
    return made


def loader(file: Path, options: argparse.Namespace) -> Callable:
    """Gives the quantized MODEL, loaded once for each memory mode."""
    from functools import cache

    from lightquant.bridge.load import Request, load

    request = Request("dit", str(file), scheme=options.scheme, dtype="bf16", may_substitute=False)
    return cache(lambda streamed: dit_step.with_added(load(request, disable_dynamic=streamed).model, options.attention))


def prepared(file: Path, lora: Path, options: argparse.Namespace) -> dict:
    """Write the quantized model and the LoRA; returns the references."""
    import random_wan
    from lightquant.schemes import SCHEMES

    heavy = options.weights == "heavy"
    tensors = random_wan.model("bf16", heavy, options.blocks)
    make_lora(options, {key: tuple(tensor.shape) for key, tensor in tensors.items()}, lora)
    reference = references(str(lora), tensors, options)
    tensors.clear()
    host.free()
    random_wan.save(random_wan.model(SCHEMES[options.scheme].format, heavy, options.blocks), file, options.blocks)
    return reference


def run(options: argparse.Namespace, result: dict) -> None:
    """Measure every way; the result is written after each, so that a run that is stopped keeps what was done."""
    begun = time.perf_counter()
    host.start_comfyui(options.comfyui, options.device)
    import torch

    folder, vram = host.fresh(options.folder), host.VRAM()
    file, lora = folder / "model.safetensors", folder / "lora.safetensors"
    result["environment"] = host.environment(options.commit)
    try:
        with torch.inference_mode():
            reference, load = prepared(file, lora, options), loader(file, options)
            for way in options.ways:
                if time.perf_counter() - begun > options.seconds - ENOUGH_S:
                    result["left_out"].append(way)
                    continue
                host.free()
                try:
                    result["rows"].append(measure(way, load, str(lora), reference, vram, options))
                except Exception as problem:  # the next way may do better
                    result["failed"][way] = f"{type(problem).__name__}: {problem}"
                host.write(options.out, result)
                print(f"{time.perf_counter() - begun:4.0f} s: {way}", flush=True)
    finally:
        shutil.rmtree(folder)
        host.write(options.out, result)


def table(rows: list[dict]) -> str:
    """The rows, each step's time beside that without a LoRA in the same memory mode."""
    without = {row["streamed"]: row["median_step_s"] for row in reversed(rows) if row["way"].startswith(WITHOUT)}
    lines = [f"{'way':20} {'s/step':>8} {'ratio':>6} {'peak, GiB':>9} {'error':>8}"]
    for row in rows:
        ratio = f"{row['median_step_s'] / without[row['streamed']]:.3f}" if row["streamed"] in without else "–"
        lines.append(f"{row['way']:20} {row['median_step_s']:8.3f} {ratio:>6} {row['peak_gib']:9.2f} {row['error']:8.5f}")
    return "\n".join(lines)


def main() -> None:
    options = parse()
    result = {
        "what": "Wan2.1-T2V-14B, random weights, cfg 1, a random LoRA on all linears" if options.device == "cuda" else "a small model on the CPU",
        "options": {**vars(options), "seconds": str(options.seconds)}, "environment": {}, "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip
    run(options, result)
    print(table(result["rows"]))
    print(*(f"{key} {result[key]}" for key in ("left_out", "failed")), sep="\n")
    children.end()


if __name__ == "__main__":
    main()
