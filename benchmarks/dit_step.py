"""Whole steps of Wan2.1-T2V-14B, 832x480x81, cfg 1: this pack against ComfyUI core, one after the other on one machine, in the same memory mode.

    python benchmarks/dit_step.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

For each variant: seconds a step (every raw sample), the driver's peak VRAM above an idle context, the relative error of the first prediction against
bf16 for several seeds and of the sampled latents, and whether the second run of the process gives the latents of the first, bit for bit.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import host


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument("--folder", default="/tmp/lightquant-bench", help="where the 14 GB files are made, one at a time")
    parser.add_argument("--weights", nargs="+", default=["gaussian"], choices=["gaussian", "heavy"])
    parser.add_argument(
        "--variants", nargs="+", default=list(VARIANTS),
        help=f"of {', '.join(VARIANTS)} and lightquant-SCHEME for any scheme; +WORD behind one adds {', '.join(ADDED)} or the attention kernel WORD",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--latent", type=int, nargs=3, default=[21, 60, 104], metavar=("T", "H", "W"))
    parser.add_argument("--child", nargs=2, metavar=("VARIANT", "WEIGHTS"), help="measure one variant in this process (used by the script itself)")
    return parser.parse_args()


VARIANTS = {
    "bf16": "bf16",
    "core-fp8": "core-fp8",
    "lightquant-fp8-torch": "fp8-channel",
    "core-int8": "core-int8",
    "lightquant-int8-torch": "int8-channel",
}
"""The default variants -> the storage of their files. bf16 comes first: the others are compared with what it leaves in the folder."""

ADDED = ("share", "fuse", "compile")
"""What may be added to a variant: modes of Fuse Blocks, and the stock TorchCompileModel. Any other word is an attention kernel's name."""

OURS = "lightquant-"
"""Begins the variants of the pack, and its schemes' names end them."""

TIMED_SEED, MORE_SEEDS = 7, (1, 2, 3, 4)
"""One model's error on one input varies by a tenth from seed to seed, so it is averaged over several."""


def storage(variant: str) -> str:
    """The name in random_wan.STORAGES of what a variant's file holds."""
    from lightquant.schemes import SCHEMES

    base = variant.split("+")[0]
    return VARIANTS.get(base) or SCHEMES[base.removeprefix(OURS)].format


def load(variant: str, tensors: dict, path: Path):
    """The MODEL with what is added to it."""
    base, *words = variant.split("+")
    model = load_base(base, tensors, path)
    for word in words:
        model = with_added(model, word)
    return model


def with_added(model, word: str):
    """A clone of a MODEL with one more thing."""
    if word == "compile":
        from comfy_extras.nodes_torch_compile import TorchCompileModel

        return TorchCompileModel.execute(model, "inductor").args[0]
    clone = model.clone()
    if word in ADDED:
        from lightquant.fusion.apply import compute_blocks

        compute_blocks(clone, word)
    else:
        from lightquant.attention.apply import attend

        attend(clone, word, may_substitute=False)
    return clone


def load_base(variant: str, tensors: dict, path: Path):
    """The MODEL: bf16 from memory, the others from their file, as their own loader does it."""
    import comfy.sd
    import torch

    if variant == "bf16":
        return comfy.sd.load_diffusion_model_state_dict(tensors, model_options={"dtype": torch.bfloat16})
    if variant.startswith("core"):
        return comfy.sd.load_diffusion_model(str(path), model_options={"dtype": torch.bfloat16})
    from lightquant.bridge.load import Request
    from lightquant.bridge.load import load as load_quantized

    return load_quantized(Request("dit", str(path), scheme=variant.removeprefix(OURS), dtype="bf16", may_substitute=False)).model


def sample(model, seed: int, steps: int, options: argparse.Namespace, heavy: bool):
    """Sample once. Returns the latents, the first step's prediction (both fp32, on the CPU) and the times at which the steps ended."""
    import comfy.sample
    import random_wan
    import torch

    predictions, ended = [], []

    def step_done(step: int, prediction: torch.Tensor, *_) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        ended.append(time.perf_counter())
        predictions.append(prediction.float().cpu() if step == 0 else None)

    text = torch.randn(1, 512, random_wan.TEXT, generator=torch.Generator().manual_seed(seed)) * (0.5 if heavy else 0.1)
    latent = torch.zeros(1, 16, *options.latent)
    latents = comfy.sample.sample(
        model, comfy.sample.prepare_noise(latent, seed), steps, 1.0, "euler", "simple", [[text, {}]], [[text, {}]], latent,
        callback=step_done, disable_pbar=True, seed=seed,
    )  # fmt: skip
    return latents.float().cpu(), predictions[0], ended


def measure(variant: str, weights: str, options: argparse.Namespace) -> dict:
    """One row of the result, in a process of its own: its VRAM is its own, and its first run is a process's first."""
    host.start_comfyui(options.comfyui)
    import random_wan
    import torch
    from lightquant.kernels.reference import relative_error

    heavy, folder = weights == "heavy", Path(options.folder)
    vram = host.VRAM()
    row: dict = {"variant": variant, "weights": weights}
    with torch.inference_mode():
        tensors, path = random_wan.model(storage(variant), heavy, options.blocks), folder / f"{variant}.safetensors"
        if variant != "bf16":
            random_wan.save(tensors, path, options.blocks)
            tensors = {}
        torch.cuda.empty_cache()
        vram.restart()
        model = load(variant, tensors, path)
        latents, prediction, ended = sample(model, TIMED_SEED, options.steps, options, heavy)
        if variant != "bf16":
            row["file_gb"] = path.stat().st_size / 1e9
        again, _, ended_again = sample(model, TIMED_SEED, options.steps, options, heavy)
        row["step_s"] = [later - earlier for times in (ended, ended_again) for earlier, later in itertools.pairwise(times)]
        row |= {"median_step_s": statistics.median(row["step_s"]), "peak_gib": vram.peak_gib(), "second_run_identical": torch.equal(latents, again)}
        seen = [prediction, *(sample(model, seed, 1, options, heavy)[1] for seed in MORE_SEEDS)]
        reference = folder / f"reference-{weights}.pt"
        if variant == "bf16":
            torch.save((seen, latents), reference)
        expected, expected_latents = torch.load(reference)
        row["errors_of_predictions"] = [relative_error(*pair) for pair in zip(seen, expected, strict=True)]
        row["mean_error"] = statistics.mean(row["errors_of_predictions"])
        row["error_of_latents"] = relative_error(latents, expected_latents)
    vram.stop()
    path.unlink(missing_ok=True)
    return row | {"environment": host.environment(options.commit)}


def main() -> None:
    options = parse()
    Path(options.folder).mkdir(parents=True, exist_ok=True)
    if options.child:
        variant, weights = options.child
        host.write(options.out, measure(variant, weights, options))
        os._exit(0)  # at a regular exit comfy-aimdo's thread was seen to abort the process, after everything was done
    result = {"what": "Wan2.1-T2V-14B, random weights, cfg 1", "options": vars(options), "rows": []}
    for weights, variant in itertools.product(options.weights, options.variants):
        started, part = time.perf_counter(), f"{options.folder}/row.json"
        subprocess.run([sys.executable, *sys.argv, "--out", part, "--child", variant, weights], check=True)
        row = json.loads(Path(part).read_text())
        result["environment"] = row.pop("environment") | {"command": " ".join(sys.argv)}
        result["rows"].append(row)
        host.write(options.out, result)
        shown = {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items() if not isinstance(value, list)}
        print(f"{time.perf_counter() - started:5.0f} s", shown, flush=True)


if __name__ == "__main__":
    main()
