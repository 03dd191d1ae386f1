"""The steps between the products of a Wan 14B block, each in one pass with the quantization that follows, beside the same step by step. No ComfyUI.

    python benchmarks/fused.py --out benchmarks/results/NAME.json

For each step, coding and way: milliseconds, both ways in the same rounds, the bytes that must be moved, and the error against fp32 arithmetic.
`a block` adds them up as often as a block has them. On a GPU it ends at once where the Triton kernels do not work.
"""

import statistics
from collections.abc import Callable
from typing import NamedTuple

import host
import torch
import torch.nn.functional as F
from lightquant.kernels.fused_rows import Norm, add_gated, add_norm, gelu, norm, rms_rope, triton_fused
from lightquant.kernels.quantize import quantize
from lightquant.kernels.reference import relative_error
from lightquant.kernels.rows import GROUP, Coding, Rows, floats
from running import parser
from timing import times_ms

HEADS, SIZE = 40, 128
WIDTH, INNER, EPS = HEADS * SIZE, 13824, 1e-6
CODINGS = {"fp8": Coding(torch.float8_e4m3fn), "int8": Coding(torch.int8), "fp8 groups": Coding(torch.float8_e4m3fn, GROUP), "bf16": None}

SEPARATE, FUSED = "separate", "fused"
"""The ways."""

Made = Rows | torch.Tensor


class Step(NamedTuple):
    """a_block: how often a block has it; moved: bytes a row that have to be read and written, codes at one byte."""

    a_block: int
    separate: Callable[[], Made]
    fused: Callable[[], Made]
    exact: Callable[[], torch.Tensor]
    moved: int


def steps(rows: int, coding: Coding | None, device: torch.device) -> dict[str, Step]:
    """As ComfyUI's block has them: in bf16, addcmul for the modulation and the gate."""
    x, y, q = (torch.randn(rows, WIDTH, device=device, dtype=torch.bfloat16) for _ in range(3))
    h = torch.randn(rows, INNER, device=device, dtype=torch.bfloat16)
    shift, scale, gate, weight = (torch.randn(1, WIDTH, device=device, dtype=torch.bfloat16) / 3 for _ in range(4))
    angle = torch.rand(1, rows, 1, SIZE // 2, device=device) * 100
    freqs = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).unflatten(-1, (2, 2))
    modulated, affine = Norm(scale, shift, EPS, True, rows, rows), Norm(weight[0], shift[0], EPS, False, rows, rows)
    codes = 2 if coding is None else 1

    def normed(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return torch.addcmul(shift.to(dtype), F.layer_norm(x.to(dtype), (WIDTH,), eps=EPS), 1 + scale.to(dtype))

    def rotated(q: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        pairs = F.rms_norm(q.to(dtype), (WIDTH,), weight[0].to(dtype), EPS).view(1, rows, HEADS, SIZE // 2, 1, 2).float()
        return (freqs[..., 0] * pairs[..., 0] + freqs[..., 1] * pairs[..., 1]).flatten(3).view(rows, WIDTH).to(dtype)

    def summed(dtype: torch.dtype) -> torch.Tensor:
        total = torch.addcmul(x.to(dtype), y.to(dtype), gate.to(dtype))
        return F.layer_norm(total.bfloat16().to(dtype), (WIDTH,), weight[0].to(dtype), shift[0].to(dtype), EPS)

    def activated() -> Made:  # as floats it takes its input's place, which is timed the same whatever is in there
        return torch.ops.aten.gelu_(h, approximate="tanh") if coding is None else gelu(h, coding)

    return {
        "norm and modulation": Step(
            1, lambda: quantize(normed(x, x.dtype), coding), lambda: norm(x, modulated, coding), lambda: normed(x, torch.float32), WIDTH * (2 + codes)
        ),
        "residual and norm": Step(
            2, lambda: quantize(summed(x.dtype), coding), lambda: add_norm(x, y, gate, affine, coding)[1], lambda: summed(torch.float32),
            WIDTH * (6 + codes),
        ),
        "GELU": Step(
            1, lambda: quantize(F.gelu(h, approximate="tanh"), coding), activated, lambda: F.gelu(h.float(), approximate="tanh"), INNER * (2 + codes)
        ),
        "residual": Step(
            1, lambda: torch.addcmul(x, y, gate), lambda: add_gated(x, y, gate, rows, rows, 1),
            lambda: torch.addcmul(x.float(), y.float(), gate.float()), WIDTH * 6,
        ),
        "RMS norm and rotary embedding": Step(
            2, lambda: rotated(q, q.dtype), lambda: rms_rope(q, weight[0], freqs, EPS, rows), lambda: rotated(q, torch.float32), WIDTH * 4 + SIZE * 8
        ),
    }  # fmt: skip


def as_floats(made: Made) -> torch.Tensor:
    return made.float() if isinstance(made, torch.Tensor) else floats(made)


def measure(rows: int, name: str, device: torch.device, target_ms: float) -> list[dict]:
    """A row of the result for each step in a coding, each way."""
    found = []
    for step_name, step in steps(rows, CODINGS[name], device).items():
        exact, ways = step.exact(), {SEPARATE: step.separate, FUSED: step.fused}
        errors = {way: relative_error(as_floats(call()), exact) for way, call in ways.items()}
        del exact
        for way, times in times_ms({way: lambda turn, call=call: call() for way, call in ways.items()}, device, target_ms).items():
            median = statistics.median(times)
            found.append(
                {"step": step_name, "coding": name, "way": way, "rows": rows, "a_block": step.a_block, "moved_bytes": rows * step.moved,
                 "error": errors[way], "samples_ms": times, "median_ms": median, "gb_a_second": rows * step.moved / median / 1e6}
            )  # fmt: skip
            print(host.shown(found[-1]), flush=True)
    return found


def block_ms(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Coding -> way -> milliseconds of all that a block has of these steps."""
    sums = {row["coding"]: dict.fromkeys((SEPARATE, FUSED), 0.0) for row in rows}
    for row in rows:
        sums[row["coding"]][row["way"]] += row["a_block"] * row["median_ms"]
    return sums


def main() -> None:
    options = parser(__doc__, "unused: it takes half a minute", "few rows, for a machine without a GPU").parse_args()
    rows, runs_triton = 64 if options.small else 32760, options.device.type == "cuda" and triton_fused(options.device) is not None
    if options.device.type == "cuda" and not runs_triton:
        raise SystemExit("The Triton kernels of the fused steps do not work here (the log says why), so there is nothing to compare.")
    result = {
        "what": "the steps between the products of a Wan 14B block", "fused_by": "triton" if runs_triton else "torch", "block_ms": {}, "rows": [],
        "environment": host.environment(options.commit),
    }  # fmt: skip
    for name in CODINGS:
        result["rows"] += measure(rows, name, options.device, 5 if options.small else 60)
        result["block_ms"] = block_ms(result["rows"])
        host.write(options.out, result)
    for name, sums in result["block_ms"].items():
        print(f"a block, {name}: {sums[SEPARATE]:.2f} ms step by step, {sums[FUSED]:.2f} ms in one pass each", flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
