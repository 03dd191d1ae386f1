"""Every kernel that runs here, on the linears of Wan 1.3B, Wan 14B and umt5-xxl, beside torch's bf16 product in the same rounds. Needs no ComfyUI.

    python benchmarks/linear.py --out benchmarks/results/NAME.json

For each shape and number of rows: the whole linear (activation quantization included), the quantizer and the product apart, and the error against
fp32 arithmetic on the same quantized operands. For the int4 kernels also a finer row count, with Marlin's two ways forced; for the quantizers,
vLLM's and sgl-kernel's own beside them. All calls share their activations, which stay in L2 where they fit; weights come from memory.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import host
import linear_plan
import linear_summary
import torch
import torch.nn.functional as F
from lightquant.formats import QuantizedWeight
from lightquant.kernels import Kernel, reference
from lightquant.kernels.checks.numeric import first_line
from linear_summary import ALONE, BF16, EXPANDED
from operands import Weights, needed, random_weight
from other_quantizers import Quantizer, quantizers
from running import is_best, parser, poison, running
from timing import Call, times_ms

COMPARED_ROWS = 256
"""How many of the first rows, and of the last, are held to the oracle."""

MARLIN = "int4-g128-marlin"

METHOD = (
    "In each round every call is made once, in an order of its own, between device events, while the device sleeps until the host has asked for all. "
    "Calls go round among copies of a weight that fill {mib} MiB, so that weights come from memory and not from L2."
)


class Linear:
    """The operands of one shape in bf16 and in all formats, and the kernels that take it."""

    def __init__(self, place: dict, kernels: dict[str, Kernel], plan: linear_plan.Plan, result: dict, device: torch.device):
        """place: the model's name, inputs and outputs, as the result's rows have them."""
        self._place, self._kernels, self._plan, self._result, self._device = place, kernels, plan, result, device
        weight = random_weight(place["outputs"], place["inputs"], device)
        self._weights = Weights(weight)
        floats = weight.bfloat16()
        self._floats = [floats.clone() for _ in range(needed((floats,), plan.cold_bytes))]
        self._bias = torch.randn(place["outputs"], device=device, dtype=torch.bfloat16)

    def measure(self, rows: int, quantizers: dict[tuple[str, str], Quantizer]) -> None:
        """Add the figures of one number of rows to the result; quantizers: those to be measured beside the kernels."""
        x, errors = self._activations(rows), {}
        calls: dict[tuple, Call] = {(BF16, "linear"): self._float_call(x)}
        for label, kernel, weight in self._taking(x):
            with self._noted(f"{label}, {self._described(rows)}"):
                error = self._error(kernel, x, weight)
                parts = _parts(kernel, x, self._weights.copies(kernel, self._plan.cold_bytes), self._bias)
                _once(parts.values())
                errors[label] = error
                calls.update({(label, part): call for part, call in parts.items()})
        asked = {}
        for key, quantize in quantizers.items():
            with self._noted(f"quantizer {' '.join(key)}, {self._described(rows)}"):
                quantize(x)
                asked[("quantizer", *key)] = lambda turn, quantize=quantize: quantize(x)
        _once((calls[BF16, "linear"],))
        self._add(rows, times_ms(calls | asked, self._device, self._plan.target_ms), errors)

    def measure_int4(self, rows: int) -> None:
        """Add the figures of the int4 kernels alone, Marlin both ways, and bf16."""
        x = self._activations(rows)
        calls = {BF16: self._float_call(x)}
        for label, kernel, _ in self._taking(x):
            if kernel.format != "int4-g128" or not is_best(label):
                continue
            linear = _parts(kernel, x, self._weights.copies(kernel, self._plan.cold_bytes), self._bias)["linear"]
            ways = {label: linear}
            if label == MARLIN:
                ways |= {ALONE: _marlin(kernel, linear, True), EXPANDED: _marlin(kernel, linear, False)}
            with self._noted(f"{label}, {self._described(rows)}, int4"):
                _once(ways.values())
                calls |= ways
        _once((calls[BF16],))
        for label, samples in times_ms(calls, self._device, self._plan.target_ms).items():
            self._result["int4_rows"].append({**self._place, "rows": rows, "kernel": label, **_figures("linear", samples)})

    def _activations(self, rows: int) -> torch.Tensor:
        return torch.randn(rows, self._place["inputs"], device=self._device, dtype=torch.bfloat16)

    def _described(self, rows: int) -> str:
        return f"{rows} x {self._place['inputs']} to {self._place['outputs']}"

    def _taking(self, x: torch.Tensor) -> Iterator[tuple[str, Kernel, QuantizedWeight]]:
        """The kernels that take these activations, with a weight; the others are listed as refusing."""
        for label, kernel in self._kernels.items():
            weight = self._weights.copies(kernel)[0]
            takes, why = kernel.takes(x.shape[0], weight, x.dtype)
            if takes:
                yield label, kernel, weight
            else:
                self._result["refused"][f"{label}, {self._described(x.shape[0])}"] = why

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        """Another's kernel raises anything, and the others are still to be measured: what fails is listed."""
        try:
            yield
        except Exception as problem:
            self._result["failed"][what] = first_line(problem)

    def _float_call(self, x: torch.Tensor) -> Call:
        return lambda turn: F.linear(x, self._floats[turn % len(self._floats)], self._bias)

    def _error(self, kernel: Kernel, x: torch.Tensor, weight: QuantizedWeight) -> float:
        poison((x.shape[0], self._place["outputs"]), x.dtype, self._device)
        y = kernel.linear(x, weight, self._bias)
        ends = [slice(COMPARED_ROWS), slice(max(COMPARED_ROWS, x.shape[0] - COMPARED_ROWS), None)]
        x, y = (torch.cat([each[part] for part in ends]) for each in (x, y))
        return reference.relative_error(y, reference.linear(kernel, x, weight, self._bias))

    def _add(self, rows: int, samples: dict, errors: dict[str, float]) -> None:
        place, operations = {**self._place, "rows": rows}, 2 * rows * self._place["inputs"] * self._place["outputs"]
        float_ms = statistics.median(samples[BF16, "linear"])
        for label in (BF16, *errors):
            figures = {}
            for part in ("linear", "quantize", "matmul"):
                figures |= _figures(part, samples.get((label, part)))
            median = figures["median_ms"]
            rate = {"tflops": round(operations / median / 1e9, 2), "times_bf16": round(float_ms / median, 4)}
            kernel = self._kernels.get(label)
            error = {"error": errors.get(label), "tolerance": kernel.tolerance(torch.bfloat16) if kernel else None}
            self._result["rows"].append({**place, "kernel": label, **figures, **rate, **error})
        for key in samples:
            if key[0] == "quantizer":
                figures = {"inputs": place["inputs"], "rows": rows, "dtype": key[1], "whose": key[2]}
                self._result["quantizers"].append(figures | _figures("linear", samples[key]))


def _once(calls: Iterable[Call]) -> None:
    for call in calls:
        call(0)


def _parts(kernel: Kernel, x: torch.Tensor, weights: list[QuantizedWeight], bias: torch.Tensor) -> dict[str, Call]:
    """A kernel's whole linear, and, where it quantizes its activations apart, that and the product."""

    def weight(turn: int) -> QuantizedWeight:
        return weights[turn % len(weights)]

    parts: dict[str, Call] = {"linear": lambda turn: kernel.linear(x, weight(turn), bias)}
    rows = kernel.quantize(x)
    if rows.scale is not None:
        parts["quantize"] = lambda turn: kernel.quantize(x)
        parts["matmul"] = lambda turn: kernel.matmul(rows, weight(turn), bias, x.dtype)
    return parts


def _marlin(kernel: Kernel, linear: Call, alone: bool) -> Call:
    """Marlin made to multiply itself, or to expand the weight, whatever is faster."""
    module = sys.modules[type(kernel).__module__]

    def call(turn: int) -> torch.Tensor:
        with patch.object(module, "is_marlins", lambda rows, weights: alone):
            return linear(turn)

    return call


def _figures(part: str, samples: list[float] | None) -> dict:
    """Samples and median of a part; the whole linear's go without its name, as in the other results."""
    samples_key, median_key = ("samples_ms", "median_ms") if part == "linear" else (f"{part}_samples_ms", f"{part}_ms")
    rounded = [round(sample, 4) for sample in samples or ()]
    return {samples_key: rounded, median_key: statistics.median(rounded)} if rounded else {median_key: None}


def points(model: linear_plan.Model, plan: linear_plan.Plan) -> Iterator[tuple[int, bool]]:
    """The numbers of rows of a model's linears, the block's first, and whether the int4 kernels alone are measured at it."""
    yield from ((rows, False) for rows in sorted(model.rows, key=lambda rows: (rows != plan.block.rows, rows)))
    yield from ((rows, True) for rows in plan.few_rows)


def run(plan: linear_plan.Plan, options: argparse.Namespace) -> dict:
    """Measure, write after every shape and at an error, and return the result."""
    begun = time.perf_counter()
    kernels, missing = running(options.device, options.require)
    result: dict = {
        "what": "linears, activation quantization included", "method": METHOD.format(mib=plan.cold_bytes >> 20),
        "environment": host.environment(options.commit),
        "block": {**plan.block._asdict(), "linears": [list(each) for each in plan.block.linears]},
        "variants": {label: kernel.variant for label, kernel in kernels.items()},
        "formats": {label: kernel.format for label, kernel in kernels.items()},
        "missing": missing, "refused": {}, "failed": {}, "left_out": [], "rows": [], "int4_rows": [], "quantizers": [],
    }  # fmt: skip
    seen: set[tuple[int, int]] = set()
    others = quantizers()
    try:
        for model, (inputs, outputs) in [(each, shape) for each in plan.models for shape in each.shapes]:
            linear = Linear({"model": model.name, "inputs": inputs, "outputs": outputs}, kernels, plan, result, options.device)
            for rows, is_int4 in points(model, plan):
                if time.perf_counter() - begun > options.seconds:
                    result["left_out"].append([model.name, inputs, outputs, rows, "int4" if is_int4 else "all"])
                elif is_int4:
                    linear.measure_int4(rows)
                else:
                    linear.measure(rows, {} if (inputs, rows) in seen else others)
                    seen.add((inputs, rows))
            print(f"{time.perf_counter() - begun:4.0f} s: {model.name}, {inputs} to {outputs}", flush=True)
            _finish(result, options.out)
    finally:
        _finish(result, options.out)
    return result


def _finish(result: dict, out: str) -> None:
    host.write(out, {**result, "summary": linear_summary.summary(result)})


def show(result: dict) -> None:
    """The block's sums, ratios and crossovers, and what went wrong."""
    found = linear_summary.summary(result)
    for label, figures in sorted(found["kernels"].items(), key=lambda item: item[1]["all_ms"]):
        print(f"block {label:24}", *(f"{name} {value:.4g}" for name, value in figures.items() if value is not None))
    for name in ("ratios", "crossover"):
        print(name, found[name])
    for name in ("missing", "refused", "failed", "left_out"):
        print(name, result[name])


if __name__ == "__main__":
    given = parser(__doc__, "begin no point after so many; what is left out is listed", "tiny sizes, to see that the script runs").parse_args()
    with torch.inference_mode():
        show(run(linear_plan.SMALL if given.small else linear_plan.FULL, given))
