"""What the search for scales of least squared error gains over scales of the largest magnitude, on random weights. Needs no GPU.

    PYTHONPATH=/path/to/ComfyUI python benchmarks/scale_search.py --out benchmarks/results/NAME.json

For each format, each kind of random weight and each number of inputs that a linear of Wan 14B has: the relative error of the stored weight, its SQNR,
the same as the mean of the rows (of which those of large magnitude outweigh the rest in the former), and the time that quantizing takes.
ComfyUI is only asked for its version.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Iterator

import arguments
import host
import torch
from lightquant.formats import ABSMAX, FORMATS, MSE, Format

INPUTS = (5120, 13824)
"""Of q, k, v, o and ffn.0, and of ffn.2."""

SEED = 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", type=arguments.commit, default="")
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--outputs", default=1280, type=int, help="rows of each weight; a row's scales do not depend on how many there are")
    parser.add_argument("--times", default=3, type=int, help="how often each is measured")
    return parser.parse_args()


def weights(outputs: int) -> Iterator[tuple[str, torch.Tensor]]:
    """The name of a distribution and a random fp32 weight of it, for all numbers of inputs."""
    sys.path.append(str(host.REPOSITORY / "scripts"))
    from small_models import Weights

    for inputs in INPUTS:
        yield "gaussian", Weights(SEED).normal(outputs, inputs, std=inputs**-0.5)
        yield "heavy", Weights(SEED).matrix(outputs, inputs)


def seconds(format_: Format, weight: torch.Tensor, scaling: str) -> float:
    begin = time.perf_counter()
    format_.quantize(weight, scaling=scaling).scale.sum().item()  # which waits for a GPU
    return time.perf_counter() - begin


def measured(format_: Format, weight: torch.Tensor, scaling: str, times: int) -> dict[str, object]:
    """A row of the result, but for what the weight is."""
    difference = (format_.dequantize(format_.quantize(weight, scaling=scaling), torch.float32) - weight).double()
    by_row = difference.norm(dim=1) / weight.double().norm(dim=1)
    error = (difference.norm() / weight.double().norm()).item()
    samples = [seconds(format_, weight, scaling) for _ in range(times)]
    return {
        "format": format_.name, "scaling": scaling, "relative_error": error, "sqnr_db": sqnr_db(error),
        "mean_relative_error_of_rows": by_row.mean().item(), "mean_sqnr_db_of_rows": statistics.fmean(map(sqnr_db, by_row.tolist())),
        "samples_s": samples, "median_s": statistics.median(samples),
    }  # fmt: skip


def sqnr_db(relative_error: float) -> float:
    return -20 * math.log10(relative_error)


def run(options: argparse.Namespace) -> dict:
    """Measure, write and return the result."""
    rows = []
    for name, weight in weights(options.outputs):
        weight = weight.to(options.device)
        place = {"weights": f"random, {name}", "outputs": options.outputs, "inputs": weight.shape[1]}
        for format_ in FORMATS.values():
            absmax, mse = (place | measured(format_, weight, scaling, options.times) for scaling in (ABSMAX, MSE))
            mse["error_times_absmax"] = mse["relative_error"] / absmax["relative_error"]
            rows += [absmax, mse]
            print(f"{place} {format_.name}: {absmax['sqnr_db']:.2f} dB -> {mse['sqnr_db']:.2f} dB in {mse['median_s']:.2f} s", flush=True)
    result = {
        "what": "errors of random weights, which say nothing of a model's quality, stored with scales of the largest magnitude and of least error",
        "environment": host.environment(options.commit), "device": str(options.device), "threads": torch.get_num_threads(), "seed": SEED,
        "rows": rows,
    }  # fmt: skip
    host.write(options.out, result)
    return result


if __name__ == "__main__":
    given = parse()
    with torch.inference_mode():
        run(given)
