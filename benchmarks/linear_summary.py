"""What the samples of benchmarks/linear.py amount to: the block's sums, ratios and int4's crossover. Standard library only."""

import math
from collections.abc import Iterable, Sequence

BF16 = "bf16"
ALONE, EXPANDED = "marlin alone", "marlin, weight expanded"
"""The two ways of int4-g128-marlin, each forced for every number of rows."""

FIGURES = {"all_ms": "median_ms", "quantizer_ms": "quantize_ms", "product_ms": "matmul_ms"}
"""Figure of a block -> the figure of a row that it sums."""

OURS, VLLM = "LightQuant", "vLLM"
"""Whose quantizer."""


def summary(result: dict) -> dict:
    """Everything below, from a result's samples; figures whose kernels did not run are absent."""
    kernels = block(result)
    return {"kernels": kernels, "ratios": ratios(kernels, quantizers(result)), "crossover": crossovers(result["int4_rows"])}


def block(result: dict) -> dict[str, dict]:
    """Kernel -> the block's milliseconds, how many times bf16's speed that is, its quantizer's and product's milliseconds, and its largest error."""
    definition = result["block"]
    sums = {}
    for kernel in dict.fromkeys(row["kernel"] for row in result["rows"]):
        rows = [_at(result["rows"], kernel=kernel, rows=definition["rows"], inputs=k, outputs=n) for _, k, n in definition["linears"]]
        if None in rows:
            continue
        counts = [count for count, *_ in definition["linears"]]
        sums[kernel] = {figure: _total(rows, counts, key) for figure, key in FIGURES.items()}
        sums[kernel]["largest_error"] = max((row["error"] for row in rows if row["error"] is not None), default=None)
    if BF16 in sums:
        for figures in sums.values():
            figures["times_bf16"] = sums[BF16]["all_ms"] / figures["all_ms"]
    return sums


def quantizers(result: dict) -> dict[tuple[str, str], float]:
    """(dtype, whose) -> the milliseconds of a block's quantizations."""
    definition = result["block"]
    found = {}
    for key in dict.fromkeys((row["dtype"], row["whose"]) for row in result["quantizers"]):
        each = [_at(result["quantizers"], dtype=key[0], whose=key[1], rows=definition["rows"], inputs=k) for _, k, _ in definition["linears"]]
        if None not in each:
            found[key] = _total(each, [count for count, *_ in definition["linears"]], "median_ms")
    return found


def ratios(kernels: dict[str, dict], quantizer_ms: dict[tuple[str, str], float]) -> dict[str, float]:
    """How many times as fast the first is as the second, over a block."""
    pairs = (("int8-triton", "int8-vllm"), ("int8-triton", "int8-torch"), ("int8-torchao", "int8-vllm"), ("fp8-triton", "fp8-vllm"))
    found = {f"{a} : {b}": kernels[b]["all_ms"] / kernels[a]["all_ms"] for a, b in pairs if a in kernels and b in kernels}
    for dtype in dict.fromkeys(dtype for dtype, _ in quantizer_ms):
        ours, theirs = quantizer_ms.get((dtype, OURS)), quantizer_ms.get((dtype, VLLM))
        if ours and theirs:
            found[f"{dtype} quantizer, {OURS} : {VLLM}"] = theirs / ours
    return found


def crossovers(rows: Sequence[dict]) -> list[dict]:
    """For each shape the fewest rows from which on expanding the weight is never slower than Marlin alone; None where Marlin always wins."""
    found = []
    for inputs, outputs in dict.fromkeys((row["inputs"], row["outputs"]) for row in rows):
        ms = {(row["kernel"], row["rows"]): row["median_ms"] for row in rows if (row["inputs"], row["outputs"]) == (inputs, outputs)}
        heights = sorted({height for kernel, height in ms if kernel == ALONE} & {height for kernel, height in ms if kernel == EXPANDED})
        if heights:
            won = [height for height in heights if all(ms[EXPANDED, above] <= ms[ALONE, above] for above in heights if above >= height)]
            found.append({"inputs": inputs, "outputs": outputs, "rows": min(won, default=None)})
    return found


def _at(measured: Iterable[dict], /, **wanted: object) -> dict | None:
    return next((row for row in measured if all(row[key] == value for key, value in wanted.items())), None)


def _total(rows: Sequence[dict], counts: Sequence[int], key: str) -> float | None:
    """The sum of a figure; None where a row has none."""
    if any(row[key] is None for row in rows):
        return None
    return math.fsum(count * row[key] for count, row in zip(counts, rows, strict=True))  # the same in every Python, as sum is not
