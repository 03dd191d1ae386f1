"""The linears of one Wan2.1-14B block at 32760 rows, activation quantization included: each kernel of the pack against torch's bf16 product.

python benchmarks/linears.py --comfyui /path/to/ComfyUI --out benchmarks/results/NAME.json
"""

import argparse
import statistics

import host

ROWS, TEXT_ROWS = 32760, 512
PRODUCTS = {
    "5120 to 5120": (6, ROWS, 5120, 5120),
    "5120 to 5120, text": (2, TEXT_ROWS, 5120, 5120),
    "5120 to 13824": (1, ROWS, 5120, 13824),
    "13824 to 5120": (1, ROWS, 13824, 5120),
}
"""Name -> how many of it a block has (q, k, v, o twice over, the two of the FFN), rows, inputs, outputs."""


def times_ms(functions: dict, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each call between device events, after a warm-up. The functions take turns, as the GPU's clock drifts under load."""
    import torch

    marks: dict[str, list] = {name: [] for name in functions}
    for turn in range(-3, repeats):
        for name, function in functions.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            function()
            end.record()
            if turn >= 0:
                marks[name].append((start, end))
    torch.cuda.synchronize()
    return {name: [start.elapsed_time(end) for start, end in pairs] for name, pairs in marks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    host.start_comfyui(options.comfyui)
    import torch
    import torch.nn.functional as F
    from lightquant.formats import FORMATS
    from lightquant.kernels import reference, select

    device = torch.device("cuda:0")
    selections = {name: select("auto", name, device) for name in FORMATS}
    rows, blocks = [], {}
    for product, (count, height, inputs, outputs) in PRODUCTS.items():
        x = torch.randn(height, inputs, device=device, dtype=torch.bfloat16)
        weight = torch.randn(outputs, inputs, device=device) * torch.logspace(-2, 0, outputs, device=device)[:, None]
        bias = torch.randn(outputs, device=device, dtype=torch.bfloat16)
        floats = weight.to(torch.bfloat16)
        candidates = {"bf16": lambda x=x, w=floats, b=bias: F.linear(x, w, b)}
        errors = {}
        for name, selection in selections.items():
            stored = FORMATS[name].quantize(weight)
            candidates[selection.kernel.name] = lambda s=selection, x=x, w=stored, b=bias: s.linear(x, w, b)
            part = slice(0, min(height, 2048))
            expected = reference.linear(selection.kernel, x[part], stored, bias)
            errors[selection.kernel.name] = reference.relative_error(selection.linear(x, stored, bias)[part], expected)
        for name, samples in times_ms(candidates, options.repeats).items():
            median = statistics.median(samples)
            blocks[name] = blocks.get(name, 0.0) + count * median
            rows.append(
                {
                    "product": product, "kernel": name, "count": count, "samples_ms": samples, "median_ms": median,
                    "tflops": 2 * height * inputs * outputs / median / 1e9, "error_against_oracle": errors.get(name),
                }
            )
            print(f"{product:22} {name:12} {median:8.3f} ms {rows[-1]['tflops']:7.0f} TFLOP/s  error {errors.get(name)}", flush=True)
    ratios = {name: blocks["bf16"] / total for name, total in blocks.items()}
    for name in blocks:
        print(f"block {name:12} {blocks[name]:8.3f} ms, {ratios[name]:.3f} times bf16")
    variants = {selection.kernel.name: selection.kernel.variant for selection in selections.values()}
    host.write(
        options.out,
        {"what": "linears of one Wan2.1-14B block", "environment": host.environment(options.commit), "variants": variants, "rows": rows,
         "block_ms": blocks, "times_bf16": ratios},
    )  # fmt: skip


if __name__ == "__main__":
    main()
