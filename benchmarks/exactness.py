"""Every kernel that runs here against fp32 arithmetic on its own quantized operands, on every kind of activations. Needs no ComfyUI.

    python benchmarks/exactness.py --out benchmarks/results/NAME.json

For each kernel, kind or view, and dtype: how many products were compared, the worst relative error, where, and what is allowed. A product that a
kernel refuses is listed with its reason: a model's layers run another kernel for it.
"""

import argparse
import time
from collections import Counter

import host
import torch
import torch.nn.functional as F
from exactness_cases import FULL, SMALL, Case, Sizes, cases
from lightquant.kernels import Kernel, reference
from lightquant.kernels.checks.numeric import first_line
from operands import Weights, random_weight
from running import parser, poison, running

MOST_ROWS, EVERY, LAST = 4096, 17, 64
"""Of more rows than that, every seventeenth is compared, which no tile escapes, and the last ones."""


class Checked:
    """A kernel's operands by shape, and its errors."""

    def __init__(self, kernel: Kernel, weights: dict[tuple[int, int], Weights], device: torch.device):
        self._kernel, self._weights, self._device = kernel, weights, device
        self._operands: dict[tuple[int, int], torch.Tensor] = {}
        self.refused: Counter[str] = Counter()

    def error(self, case: Case) -> float | None:
        """The relative error of a case; None where the kernel refuses it. Raises what the kernel raises."""
        kernel, shape, x = self._kernel, (case.inputs, case.outputs), case.draw(self._device)
        if case.inputs % 128 and kernel.format == "int4-g128":
            self.refused[f"int4-g128 has no weights of {case.inputs} inputs, only of whole groups of 128"] += 1
            return None
        (weight,) = self._weights[shape].copies(kernel)
        takes, why = kernel.takes(x.numel() // case.inputs, weight, x.dtype)
        if not takes:
            self.refused[why] += 1
            return None
        bias = torch.linspace(-1, 1, case.outputs, device=self._device, dtype=x.dtype) if case.has_bias else None
        poison((x.numel() // case.inputs, case.outputs), x.dtype, self._device)
        y = kernel.linear(x, weight, bias)
        if (y.dtype, y.shape) != (x.dtype, (*x.shape[:-1], case.outputs)):
            return float("inf")
        if shape not in self._operands:
            self._operands[shape] = kernel.operand(weight)
        x, y = _compared(x.reshape(-1, case.inputs)), _compared(y.reshape(-1, case.outputs))
        rows = kernel.quantize(x)
        return reference.relative_error(y, F.linear(kernel.activations(rows), self._operands[shape], None if bias is None else bias.float()))


def _compared(rows: torch.Tensor) -> torch.Tensor:
    return rows if rows.shape[0] <= MOST_ROWS else torch.cat((rows[::EVERY], rows[-LAST:]))


def check(label: str, kernel: Kernel, checked: Checked, sizes: Sizes) -> tuple[list[dict], list[str]]:
    """A kernel's rows of the result, and the cases that fail, each with its error or what was raised."""
    rows: dict[tuple[str, torch.dtype], dict] = {}
    failing = []
    for case in cases(sizes):
        try:
            error = checked.error(case)
        except Exception as problem:  # another's kernel raises anything, and the other cases are still to be checked
            failing.append(f"{label}, {case}: {first_line(problem)}")
            continue
        if error is None:
            continue
        allowed = kernel.tolerance(case.dtype)
        if not error <= allowed:
            failing.append(f"{label}, {case}: relative error {error:.3g} of {allowed:g} allowed")
        dtype = str(case.dtype).removeprefix("torch.")
        row = rows.setdefault(
            (case.about, case.dtype), {"kernel": label, "case": case.about, "dtype": dtype, "products": 0, "worst_error": -1.0, "tolerance": allowed}
        )
        row["products"] += 1
        if error > row["worst_error"]:
            row |= {"worst_error": error, "worst_at": str(case)}
    return list(rows.values()), failing


def run(sizes: Sizes, options: argparse.Namespace) -> dict:
    """Check kernel by kernel, write after each, and return the result."""
    begun = time.perf_counter()
    kernels, missing = running(options.device, options.require)
    weights = {(k, n): Weights(random_weight(n, k, options.device)) for k, n in (sizes.shape, *sizes.more)}
    result: dict = {
        "what": "errors against fp32 arithmetic on the same quantized operands", "environment": host.environment(options.commit),
        "variants": {label: kernel.variant for label, kernel in kernels.items()}, "missing": missing, "left_out": [], "refused": {}, "failing": [],
        "rows_at_most": max(sizes.rows), "rows": [],
    }  # fmt: skip
    for label, kernel in kernels.items():
        if time.perf_counter() - begun > options.seconds:
            result["left_out"].append(label)
            continue
        checked = Checked(kernel, weights, options.device)
        rows, failing = check(label, kernel, checked, sizes)
        result["rows"] += rows
        result["failing"] += failing
        if checked.refused:
            result["refused"][label] = dict(checked.refused)
        host.write(options.out, result)
        worst = max((row["worst_error"] / row["tolerance"] for row in rows), default=0)
        print(f"{time.perf_counter() - begun:4.0f} s: {label}, {len(failing)} failing, worst {worst:.2f} of what is allowed", flush=True)
    host.write(options.out, result)
    return result


if __name__ == "__main__":
    given = parser(__doc__, "begin no kernel after so many; what is left out is listed", "few rows and small weights").parse_args()
    with torch.inference_mode():
        found = run(SMALL if given.small else FULL, given)
    for name in ("failing", "refused", "missing", "left_out"):
        print(name, *(found[name][:30] if isinstance(found[name], list) else found[name].items()), sep="\n  ")
