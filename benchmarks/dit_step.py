"""Whole steps of Wan2.1-T2V-14B, 832x480x81, cfg 1: this pack against ComfyUI core in one process, memory mode and run.

    python benchmarks/dit_step.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json

For each variant: seconds a step (every raw sample), the driver's peak VRAM above an idle context, seconds from the file to the end of the first step,
the relative error of the first prediction and of the sampled latents against bf16, and whether a second run gives the same latents bit for bit.
"""

import argparse
import gc
import itertools
import statistics
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
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--latent", type=int, nargs=3, default=[21, 60, 104], metavar=("T", "H", "W"))
    return parser.parse_args()


VARIANTS = {
    "bf16": "bf16",
    "core-fp8": "core-fp8",
    "lightquant-fp8-torch": "fp8-channel",
    "core-int8": "core-int8",
    "lightquant-int8-torch": "int8-channel",
}
"""Variant -> the storage of its file."""


def load(variant: str, tensors: dict, path: Path):
    """The MODEL: bf16 from memory, the others from their file, as their own loader does it."""
    import comfy.sd
    import torch

    if variant == "bf16":
        return comfy.sd.load_diffusion_model_state_dict(tensors, model_options={"dtype": torch.bfloat16})
    if variant.startswith("core"):
        return comfy.sd.load_diffusion_model(str(path), model_options={"dtype": torch.bfloat16})
    from lightquant.bridge.load import Request
    from lightquant.bridge.load import load as load_quantized

    return load_quantized(Request("dit", str(path), scheme=variant.removeprefix("lightquant-"), dtype="bf16", may_substitute=False)).model


def sample(model, conditioning, options: argparse.Namespace, ended: list[float], predictions: list):
    """Sample once; notes the end of each step and the first prediction. Returns the latents."""
    import comfy.sample
    import torch

    latent = torch.zeros(1, 16, *options.latent)

    def step_done(step: int, prediction: torch.Tensor, *_) -> None:
        torch.cuda.synchronize()
        ended.append(time.perf_counter())
        if step == 0:
            predictions.append(prediction.float().cpu())

    noise = comfy.sample.prepare_noise(latent, 7)
    return comfy.sample.sample(
        model, noise, options.steps, 1.0, "euler", "simple", conditioning, conditioning, latent, callback=step_done, disable_pbar=True, seed=7
    )


def measure(variant: str, heavy: bool, options: argparse.Namespace, vram: host.VRAM, reference: dict) -> dict:
    """One row of the result; the bf16 row fills `reference`, which must come first."""
    import comfy.model_management
    import random_wan
    import torch
    from lightquant.kernels.reference import relative_error
    from safetensors.torch import save_file

    tensors = random_wan.model(VARIANTS[variant], heavy, options.blocks)
    path = Path(options.folder) / f"{variant}.safetensors"
    if variant != "bf16":
        save_file(tensors, path)
        tensors = {}
    torch.cuda.empty_cache()
    conditioning = [[torch.randn(1, 512, random_wan.TEXT, generator=torch.Generator().manual_seed(3)) * (0.5 if heavy else 0.1), {}]]
    row: dict = {"variant": variant, "weights": "heavy" if heavy else "gaussian"}
    runs, predictions = [], []
    for run in range(2):
        vram.restart()
        start, ended = time.perf_counter(), []
        if run == 0:
            model = load(variant, tensors, path)
        runs.append(sample(model, conditioning, options, ended, predictions))
        if run == 0 and variant != "bf16":
            row["file_gb"] = path.stat().st_size / 1e9
            row["file_to_first_step_s"] = ended[0] - start
        row.setdefault("step_s", []).extend(later - earlier for earlier, later in itertools.pairwise(ended))
        row.setdefault("peak_gib", []).append(vram.peak_gib())
    row["median_step_s"] = statistics.median(row["step_s"])
    row["second_run_identical"] = torch.equal(*runs)
    if variant == "bf16":
        reference.update(prediction=predictions[0], latents=runs[0])
    if reference:
        row["error_first_prediction"] = relative_error(predictions[0], reference["prediction"])
        row["error_latents"] = relative_error(runs[0], reference["latents"])
    del model, tensors
    comfy.model_management.unload_all_models()
    gc.collect()
    comfy.model_management.soft_empty_cache()
    path.unlink(missing_ok=True)
    return row


def main() -> None:
    options = parse()
    host.start_comfyui(options.comfyui)
    import torch

    Path(options.folder).mkdir(parents=True, exist_ok=True)
    vram = host.VRAM()
    result = {"what": "Wan2.1-T2V-14B, random weights, cfg 1", "environment": host.environment(options.commit), "options": vars(options), "rows": []}
    with torch.inference_mode():
        for weights in options.weights:
            reference: dict = {}
            for variant in options.variants:
                started = time.perf_counter()
                row = measure(variant, weights == "heavy", options, vram, reference)
                result["rows"].append(row)
                host.write(options.out, result)
                shown = {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items() if key != "step_s"}
                print(f"{time.perf_counter() - started:5.0f} s", shown, flush=True)
    vram.stop()


if __name__ == "__main__":
    main()
