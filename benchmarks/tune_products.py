"""Which tiles the Triton products are fastest with on this GPU: candidates for kernels/jit/tiles.py, beside torch's own products.

bash benchmarks/device.sh python3 benchmarks/tune_products.py --out OUT.json

Needs the pack as `lightquant` on the path, and no ComfyUI. A candidate that does not compile, does not fit or is wrong is skipped, with its reason.
Each call is replayed from a CUDA graph, so that no time of the CPU's is in it, and small weights take turns with copies, so that they come from
memory and not from L2.
"""

import argparse
import statistics
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import arguments
import host
import torch
import torch.nn.functional as F
from lightquant.formats import FP8_CHANNEL, INT8_CHANNEL, QuantizedWeight
from lightquant.kernels.checks.numeric import first_line
from lightquant.kernels.jit import products
from lightquant.kernels.jit.tiles import Tile, tile_for
from lightquant.kernels.quantize_rows import quantize_rows

FORMATS = {"fp8": FP8_CHANNEL, "int8": INT8_CHANNEL}
WEIGHTS = ((5120, 5120), (5120, 13824), (13824, 5120))
"""Inputs and outputs of a 14B block's linears."""

_TMA = Tile(128, 256, 128, 4, 8, parts=2, descriptors=True)
_HALF = Tile(128, 128, 128, 3, 4, parts=2, descriptors=True, residents=2)
_FEW = Tile(16, 64, 256, 4, 4)

CANDIDATES: dict[int, tuple[Tile, ...]] = {
    32760: (
        _TMA, _TMA._replace(group=4), _TMA._replace(group=16), _TMA._replace(group=32), _TMA._replace(stages=3), _TMA._replace(stages=3, parts=1),
        _TMA._replace(parts=4), _TMA._replace(flatten=True), _TMA._replace(parts=4, flatten=True),
        _TMA._replace(rows=256, columns=128, flatten=True), _HALF._replace(flatten=True),
        _HALF._replace(stages=6, residents=1, warps=8, flatten=True),
        _TMA._replace(inner=64, stages=5), _TMA._replace(inner=64, stages=6), _TMA._replace(rows=256, columns=128),
        _TMA._replace(rows=256, columns=128, group=4), _TMA._replace(rows=256, columns=128, parts=1, stages=3), _HALF, _HALF._replace(group=16),
        _HALF._replace(warps=8), _HALF._replace(parts=4), _HALF._replace(stages=6, residents=1, warps=8),
        Tile(64, 256, 64, 4, 4, parts=4, descriptors=True, residents=2), Tile(64, 256, 128, 4, 4, parts=2, descriptors=True),
        Tile(128, 256, 128, 3, 8), Tile(128, 256, 128, 4, 8), Tile(256, 128, 128, 3, 8), Tile(128, 128, 128, 4, 4), Tile(128, 128, 128, 3, 8),
        Tile(128, 256, 64, 4, 8),
    ),
    512: (
        _TMA, _TMA._replace(rows=256, columns=128), _HALF, _HALF._replace(flatten=True), _HALF._replace(residents=1, stages=5, warps=8),
        Tile(64, 128, 128, 4, 4, parts=1, descriptors=True, residents=2, flatten=True),
        Tile(64, 128, 128, 4, 4, parts=1, descriptors=True, residents=2),
        Tile(64, 256, 128, 4, 4, parts=2, descriptors=True), Tile(128, 64, 128, 4, 4, descriptors=True, residents=2),
        Tile(128, 128, 128, 4, 8), Tile(128, 128, 128, 3, 4), Tile(64, 128, 128, 4, 4), Tile(128, 64, 128, 4, 4),
    ),
    16: (
        _FEW, _FEW._replace(columns=32), _FEW._replace(columns=32, inner=512, stages=3), _FEW._replace(columns=32, stages=6, warps=2),
        _FEW._replace(columns=128, inner=128), _FEW._replace(inner=128, stages=6), Tile(64, 32, 256, 5, 4), Tile(64, 64, 256, 4, 4),
        Tile(64, 32, 256, 5, 4, descriptors=True), Tile(64, 64, 256, 4, 4, descriptors=True), Tile(64, 64, 128, 6, 4, descriptors=True, residents=2),
    ),
}  # fmt: skip
"""Rows -> what is tried."""

LARGE_ENOUGH = 200 << 20
"""Bytes of weights that a graph reads, four times an H200's L2."""

TOLERANCE = 0.01
"""Only to tell a wrong result; the tests hold kernels to their tolerance."""


class Problem(NamedTuple):
    """One product. weights: copies of one, taken in turn."""

    values: torch.Tensor
    scale: torch.Tensor
    weights: list[QuantizedWeight]
    bias: torch.Tensor
    out: torch.Tensor
    expected: torch.Tensor

    def run(self, tile: Tile, processors: int) -> Callable[[QuantizedWeight], object]:
        return lambda weight: products.multiply(self.values, self.scale, *weight, self.bias, self.out, tile, processors)


def problem(kind: str, rows: int, inputs: int, outputs: int) -> Problem:
    """Random operands, activations with outlier columns, weights over two decades."""
    format_, device = FORMATS[kind], torch.device("cuda")
    x = torch.randn(rows, inputs, device=device, dtype=torch.bfloat16)
    x[:, ::64] *= 8
    values, scale = quantize_rows(x, format_.dtype)
    weight = format_.quantize(torch.randn(outputs, inputs, device=device) * torch.logspace(-2, 0, outputs, device=device)[:, None])
    bias = torch.randn(outputs, device=device, dtype=torch.bfloat16)
    copies = 1 if rows > 512 else -(-LARGE_ENOUGH // weight.data.nbytes)
    expected = (values[-16:].float() * scale[-16:]) @ (weight.data.float() * weight.scale).t() + bias.float()
    weights = [weight, *(QuantizedWeight(weight.data.clone(), weight.scale) for _ in range(copies - 1))]
    return Problem(values, scale, weights, bias, torch.empty(rows, outputs, device=device, dtype=torch.bfloat16), expected)


def peers(kind: str, given: Problem) -> dict[str, Callable[[QuantizedWeight], object]]:
    """torch's products of the same operands; its int8 one has no epilogue and needs more than 16 rows."""
    x = given.values.to(torch.bfloat16)
    floats = {id(weight.data): weight.data.to(torch.bfloat16) for weight in given.weights}
    found = {"bf16": lambda weight: F.linear(x, floats[id(weight.data)], given.bias)}
    if kind == "fp8":
        found["torch._scaled_mm"] = lambda weight: torch._scaled_mm(
            given.values, weight.data.t(), given.scale, weight.scale.t(), bias=given.bias, out_dtype=torch.bfloat16, use_fast_accum=True
        )
    elif given.values.shape[0] > 16:
        found["torch._int_mm"] = lambda weight: torch._int_mm(given.values, weight.data.t())
    return found


def graph(function: Callable[[QuantizedWeight], object], weights: list[QuantizedWeight]) -> torch.cuda.CUDAGraph:
    for _ in range(2):
        function(weights[0])
    torch.cuda.synchronize()
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        for weight in weights:
            function(weight)
    return recorded


def checked(given: Problem, function: Callable[[QuantizedWeight], object]) -> None:
    """Raises ValueError where the last rows of the result are wrong."""
    given.out.fill_(float("nan"))
    function(given.weights[0])
    error = float((given.out[-16:].float() - given.expected).norm() / given.expected.norm())
    if not error < TOLERANCE:
        raise ValueError(f"its result is wrong: relative error {error:.3g}")


def milliseconds(graphs: dict, repeats: int) -> dict[object, list[float]]:
    """Of each graph, after a warm-up. They take turns, as the GPU's clock drifts under load."""
    marks: dict[object, list] = {name: [] for name in graphs}
    for turn in range(-2, repeats):
        for name, recorded in graphs.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            recorded.replay()
            end.record()
            if turn >= 0:
                marks[name].append((start, end))
    torch.cuda.synchronize()
    return {name: [start.elapsed_time(end) for start, end in pairs] for name, pairs in marks.items()}


def measured(kind: str, rows: int, inputs: int, outputs: int, tiles: tuple[Tile, ...], repeats: int) -> tuple[list[dict], list[dict]]:
    """Every candidate's row, fastest first, and the candidates skipped."""
    given = problem(kind, rows, inputs, outputs)
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    graphs, skipped = {}, []
    for name, function in [*peers(kind, given).items(), *((tile, given.run(tile, processors)) for tile in dict.fromkeys(tiles))]:
        try:
            if isinstance(name, Tile):
                checked(given, function)
            graphs[name] = graph(function, given.weights)
        except Exception as error:  # out of shared memory, not compilable, wrong: the reason is what this is for
            skipped.append({"kind": kind, "what": shown(name), "why": first_line(error)})
            print(f"    skipped {shown(name)}: {skipped[-1]['why']}", flush=True)
    found = []
    for name, samples in milliseconds(graphs, repeats).items():
        each = [sample / len(given.weights) for sample in samples]
        median = statistics.median(each)
        found.append(
            {
                "kind": kind, "rows": rows, "inputs": inputs, "outputs": outputs, "what": shown(name),
                "tile": name._asdict() if isinstance(name, Tile) else None, "samples_ms": each, "median_ms": median,
                "tflops": 2 * rows * inputs * outputs / median / 1e9,
            }
        )  # fmt: skip
    return sorted(found, key=lambda row: row["median_ms"]), skipped


def shown(name: object) -> str:
    """A peer's name, or a tile's fields that differ from the default."""
    if not isinstance(name, Tile):
        return str(name)
    rest = ", ".join(f"{key}={value}" for key, value in name._asdict().items() if key in Tile._field_defaults and value != Tile._field_defaults[key])
    return f"{name.rows}x{name.columns}x{name.inner}, {name.stages} stages, {name.warps} warps" + (f", {rest}" if rest else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", type=arguments.commit, default="")
    parser.add_argument("--kinds", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--rows", nargs="+", type=int, choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    torch.manual_seed(0)
    capability = torch.cuda.get_device_capability()
    result: dict = {"what": "tiles of the Triton products", "environment": host.environment(options.commit), "rows": [], "skipped": []}
    for rows, (inputs, outputs), kind in product(options.rows, WEIGHTS, options.kinds):
        chosen = tile_for(capability, FORMATS[kind].dtype, rows, inputs, descriptors=True)
        print(f"{kind}, {rows} rows, {inputs} to {outputs}; the table has {shown(chosen)}", flush=True)
        found, skipped = measured(kind, rows, inputs, outputs, (*CANDIDATES[rows], chosen), options.repeats)
        for row in found:
            print(f"  {row['tflops']:7.0f} TFLOP/s {row['median_ms']:9.4f} ms  {row['what']}", flush=True)
        result["rows"] += found
        result["skipped"] += skipped
        host.write(options.out, result)  # after each product, so that a hang costs only its own


if __name__ == "__main__":
    main()
