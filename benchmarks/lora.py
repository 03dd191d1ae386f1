"""Whole steps of Wan2.1-T2V-14B, 832x480x81, cfg 1, with a LoRA on all linears: beside the quantized layers, and in every way that ComfyUI has.

    python benchmarks/lora.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

One process, one quantized model. For each way: seconds a step (every raw sample) and their ratio to those without a LoRA, the driver's peak VRAM, and
the relative error of the first prediction against bf16 with the same LoRA beside it, where nothing is rounded but to bf16. `without` is compared with
bf16 without a LoRA, and measured again at the end, as a GPU's clock drifts. With --small it runs on a CPU with a small model, to show that it works.
"""

import argparse
import gc
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dit_step
import host

WITHOUT = "without"

ENOUGH_S = 40
"""A way takes about so long at full size; none begins when less is left."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument("--folder", default="/tmp/lightquant-bench", help="where the model's file of 14 GB and the LoRA's are made")
    parser.add_argument("--scheme", default="fp8-torch")
    parser.add_argument("--weights", default="gaussian", choices=["gaussian", "heavy"])
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--size", type=float, default=0.05, help="norm of the rows that the LoRA adds, where the weights' are 1 in the mean")
    parser.add_argument("--ways", type=lambda names: names.split(","), default=[*WAYS], help=f"of {', '.join(WAYS)}, with commas")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--latent", type=int, nargs=3, default=[21, 60, 104], metavar=("T", "H", "W"))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end about then; what is left out is listed")
    parser.add_argument("--small", action="store_true", help="a small model on the CPU: its figures mean nothing")
    options = parser.parse_args()
    if options.small:
        options.latent, options.rank, options.blocks = [2, 8, 8], 8, 2
    return options


def start(options: argparse.Namespace) -> host.VRAM | None:
    """ComfyUI in this process: as its server would start it, or for --small on the CPU."""
    if not options.small:
        host.start_comfyui(options.comfyui)
        return host.VRAM()
    sys.path[:0] = [options.comfyui, str(host.REPOSITORY / "scripts")]
    from comfy.cli_args import args

    args.cpu = True
    return None


def tensors_of(storage: str, options: argparse.Namespace) -> dict:
    """The model in a storage of random_wan's, or the small one."""
    if not options.small:
        import random_wan

        return random_wan.model(storage, options.weights == "heavy", options.blocks)
    import small_models

    floats = small_models.dit(blocks=options.blocks)
    return floats if storage == "bf16" else small_models.quantized(floats, "dit", storage)


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


def measure(way: str, load: Callable, path: str, reference: dict, vram: host.VRAM | None, options: argparse.Namespace) -> dict:
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
        if vram:
            vram.restart()
        _, prediction, ended = dit_step.sample(model, dit_step.TIMED_SEED, options.steps, options, options.weights == "heavy")
    finally:
        management.vram_state = state
    step_s = [later - earlier for earlier, later in itertools.pairwise(ended)]
    error = relative_error(prediction, reference["bf16" if way.startswith(WITHOUT) else "bf16 with the LoRA"])
    return {
        "way": way, "streamed": streamed, "add_s": add_s, "step_s": step_s, "median_step_s": statistics.median(step_s),
        "peak_gib": vram.peak_gib() if vram else None, "error": error,
    }  # fmt: skip


def free() -> None:
    """Give back what the last way held."""
    import comfy.model_management

    comfy.model_management.unload_all_models()
    gc.collect()
    comfy.model_management.soft_empty_cache()


def references(path: str, tensors: dict, options: argparse.Namespace) -> dict:
    """The first predictions of the float model, without the LoRA and with it."""
    import comfy.sd
    import torch

    dtype = torch.float32 if options.small else torch.bfloat16
    model = comfy.sd.load_diffusion_model_state_dict(tensors, model_options={"dtype": dtype})
    made = {}
    for name, each in (("bf16", model), ("bf16 with the LoRA", bypass(model, path))):
        made[name] = dit_step.sample(each, dit_step.TIMED_SEED, 1, options, options.weights == "heavy")[1]
    return made


def loader(file: Path, options: argparse.Namespace) -> Callable:
    """Gives the quantized MODEL, loaded once for each memory mode."""
    from functools import cache

    from lightquant.bridge.load import Request, load

    request = Request("dit", str(file), scheme=options.scheme, dtype="fp32" if options.small else "bf16", may_substitute=False)
    return cache(lambda streamed: load(request, disable_dynamic=streamed).model)


def run(options: argparse.Namespace, result: dict) -> None:
    """Measure every way; the result is written after each, so that a run that is stopped keeps what was done."""
    begun, vram = time.perf_counter(), start(options)
    import random_wan
    import torch
    from lightquant.schemes import SCHEMES
    from safetensors.torch import save_file

    result["environment"] = host.environment(options.commit)
    folder = Path(options.folder)
    file, lora = folder / "lora-model.safetensors", folder / "lora.safetensors"
    try:
        with torch.inference_mode():
            tensors = tensors_of("bf16", options)
            make_lora(options, {key: tuple(tensor.shape) for key, tensor in tensors.items()}, lora)
            reference = references(str(lora), tensors, options)
            tensors.clear()
            free()
            save_file(tensors_of(SCHEMES[options.scheme].format, options), file)
            if not options.small:
                random_wan.note_depth(folder, options.blocks)
            load = loader(file, options)
            for way in options.ways:
                if time.perf_counter() - begun > options.seconds - ENOUGH_S:
                    result["left_out"].append(way)
                    continue
                free()
                result["rows"].append(measure(way, load, str(lora), reference, vram, options))
                host.write(options.out, result)
                print(f"{time.perf_counter() - begun:4.0f} s: {way}", flush=True)
    finally:
        file.unlink(missing_ok=True)
        lora.unlink(missing_ok=True)
    host.write(options.out, result)


def table(rows: list[dict]) -> str:
    """The rows, each step's time beside that without a LoRA in the same memory mode."""
    without = {row["streamed"]: row["median_step_s"] for row in reversed(rows) if row["way"].startswith(WITHOUT)}
    lines = [f"{'way':20} {'s/step':>8} {'ratio':>6} {'peak, GiB':>9} {'error':>8}"]
    for row in rows:
        ratio = f"{row['median_step_s'] / without[row['streamed']]:.3f}" if row["streamed"] in without else "–"
        peak = "–" if row["peak_gib"] is None else f"{row['peak_gib']:.2f}"
        lines.append(f"{row['way']:20} {row['median_step_s']:8.3f} {ratio:>6} {peak:>9} {row['error']:8.5f}")
    return "\n".join(lines)


def main() -> None:
    options = parse()
    Path(options.folder).mkdir(parents=True, exist_ok=True)
    result = {
        "what": "Wan2.1-T2V-14B, random weights, cfg 1, a random LoRA on all linears" if not options.small else "a small model on the CPU",
        "options": {**vars(options), "seconds": str(options.seconds)}, "environment": {}, "left_out": [], "rows": [],
    }  # fmt: skip
    run(options, result)
    print(table(result["rows"]))
    if result["left_out"]:
        print("left out for want of time:", ", ".join(result["left_out"]))
    sys.stdout.flush()
    os._exit(0)  # at a regular exit comfy-aimdo's thread was seen to abort the process, after everything was done


if __name__ == "__main__":
    main()
