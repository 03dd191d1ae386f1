"""Whole steps of Wan2.1-T2V-14B, 832x480x81, cfg 1: this pack against ComfyUI core, one after the other on one machine, in the same memory mode.

    python benchmarks/dit_step.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

For each variant, in a process of its own: seconds a step (every raw sample), the driver's peak VRAM above an idle context, the relative error of the
first prediction against bf16 for several seeds and of the sampled latents, and whether the second run of the process gives the latents of the first,
bit for bit. The result is written after each.
"""

import argparse
import itertools
import shutil
import statistics
import sys
import time
from pathlib import Path

import arguments
import children
import host

BF16 = "bf16"
"""Comes first: the others are compared with what it leaves in the folder."""

VARIANTS = {
    BF16: "bf16",
    "core-fp8": "core-fp8",
    "lightquant-fp8-torch": "fp8-channel",
    "core-int8": "core-int8",
    "lightquant-int8-torch": "int8-channel",
}
"""The default variants -> the storage of their files."""

CORE = tuple(name for name in VARIANTS if name.startswith("core-"))

ADDED = ("share", "fuse", "compile")
"""What may be added to a variant: modes of Fuse Blocks, and the stock TorchCompileModel. Any other word is an attention kernel's name."""

OURS = "lightquant-"
"""Begins the variants of the pack, and its schemes' names end them."""

TIMED_SEED = 7

ENOUGH_S = 60
"""A variant takes about so long; none begins when less is left."""


def parse() -> argparse.Namespace:
    parser = arguments.whole_steps(__doc__, steps=4)
    parser.add_argument("--weights", nargs="+", default=["gaussian"], choices=["gaussian", "heavy"])
    parser.add_argument(
        "--variants", nargs="+", default=list(VARIANTS),
        help=f"of {', '.join(VARIANTS)} and lightquant-SCHEME for any scheme; +WORD behind one adds {', '.join(ADDED)} or the attention kernel WORD",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=4, help="more seeds, whose errors are averaged: one's varies by a tenth from seed to seed")
    parser.add_argument("--child", nargs=2, metavar=("VARIANT", "WEIGHTS"), help="measure one variant in this process (used by the script itself)")
    return parser.parse_args()


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

    if variant == BF16:
        return from_memory(tensors)
    if variant in CORE:
        return comfy.sd.load_diffusion_model(str(path), model_options={"dtype": torch.bfloat16})
    from lightquant.bridge.load import Request
    from lightquant.bridge.load import load as load_quantized

    return load_quantized(Request("dit", str(path), scheme=variant.removeprefix(OURS), dtype="bf16", may_substitute=False)).model


def from_memory(tensors: dict, disable_dynamic: bool = False):
    """The bf16 MODEL; ComfyUI, which takes the tensors out of what it gets, is left the way to a second one that TorchCompileModel asks for."""
    import comfy.sd
    import torch

    model = comfy.sd.load_diffusion_model_state_dict(dict(tensors), {"dtype": torch.bfloat16}, disable_dynamic=disable_dynamic)
    model.cached_patcher_init = (from_memory, (tensors,))
    return model


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


def compared(seen: list, latents, reference: Path, is_reference: bool) -> dict:
    """How far first predictions and latents are from bf16's, which are kept in the file `reference`; None of each where bf16 has failed."""
    import torch
    from lightquant.kernels.reference import relative_error

    if is_reference:
        torch.save((seen, latents), reference)
    if not reference.exists():
        return dict.fromkeys(("errors_of_predictions", "mean_error", "error_of_latents", "cosine_of_latents"))
    expected, expected_latents = torch.load(reference)
    errors = [relative_error(*pair) for pair in zip(seen, expected, strict=True)]
    cosine = torch.cosine_similarity(latents.double().flatten(), expected_latents.double().flatten(), dim=0)
    return {
        "errors_of_predictions": errors, "mean_error": statistics.mean(errors), "error_of_latents": relative_error(latents, expected_latents),
        "cosine_of_latents": cosine.item(),
    }  # fmt: skip


def measure(variant: str, weights: str, options: argparse.Namespace) -> dict:
    """One row of the result, in a process of its own: its VRAM is its own, and its first run is a process's first."""
    host.start_comfyui(options.comfyui, options.device)
    import random_wan
    import torch

    heavy, folder = weights == "heavy", Path(options.folder, host.FOLDER)
    vram = host.VRAM()
    row: dict = {"variant": variant, "weights": weights}
    with torch.inference_mode():
        tensors, path = random_wan.model(storage(variant), heavy, options.blocks), file_of(variant, options)
        if variant.split("+")[0] != BF16:
            random_wan.save(tensors, path, options.blocks)
            row["file_gb"] = path.stat().st_size / 1e9
            tensors = {}
        torch.cuda.empty_cache()
        vram.restart()
        model = load(variant, tensors, path)
        row["dynamic_vram"] = model.is_dynamic()
        latents, prediction, ended = sample(model, TIMED_SEED, options.steps, options, heavy)
        again, _, ended_again = sample(model, TIMED_SEED, options.steps, options, heavy)
        row["step_s"] = [later - earlier for times in (ended, ended_again) for earlier, later in itertools.pairwise(times)]
        row |= {"median_step_s": statistics.median(row["step_s"]), "peak_gib": vram.peak_gib(), "second_run_identical": torch.equal(latents, again)}
        seen = [prediction, *(sample(model, seed, 1, options, heavy)[1] for seed in range(1, options.seeds + 1))]
        row |= compared(seen, latents, folder / f"reference-{weights}.pt", variant == BF16)
    vram.stop()
    return row | {"environment": host.environment(options.commit)}


def file_of(variant: str, options: argparse.Namespace) -> Path:
    """Where a variant's file is while it is measured."""
    return Path(options.folder, host.FOLDER, f"{variant}.safetensors")


def main() -> None:
    options = parse()
    if options.child:
        host.write(options.out, measure(*options.child, options))
        children.end()
    begun, folder = time.perf_counter(), host.fresh(options.folder)
    result = {
        "what": "Wan2.1-T2V-14B, random weights, cfg 1", "options": {**vars(options), "seconds": str(options.seconds)}, "environment": {},
        "left_out": [], "failed": {}, "rows": [],
    }  # fmt: skip
    variants = [BF16, *(variant for variant in options.variants if variant != BF16)]
    for weights, variant in itertools.product(options.weights, variants):
        if options.seconds - (time.perf_counter() - begun) < ENOUGH_S:
            result["left_out"].append(f"{variant}, {weights}")
            continue
        row = children.run(folder / "row.json", variant, weights)
        file_of(variant, options).unlink(missing_ok=True)
        if isinstance(row, str):
            result["failed"][f"{variant}, {weights}"] = row
        else:
            result["environment"] = row.pop("environment") | {"command": " ".join(sys.argv)}
            result["rows"].append(row)
            print(f"{time.perf_counter() - begun:5.0f} s", host.shown(row), flush=True)
        host.write(options.out, result)
    host.write(options.out, result)
    shutil.rmtree(folder)
    print(*(f"{key} {result[key]}" for key in ("left_out", "failed")), sep="\n")


if __name__ == "__main__":
    main()
