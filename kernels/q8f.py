"""`fp8-q8f` and `int8-q8f`: the products of q8_kernels. Written against its sources; NOT RUN: no GPU that it is built for was at hand.

KONAKONA's package (built for sm_89) has both products, the fork by Lightricks (built for the GPU at hand) int8 alone, by Triton. Both take int8
weights [N, K] as `q8_linear(a, b, bias=, scale_a=, scale_b=, out_dtype=)`; activations are always quantized here, as KONAKONA's own quantizer returns
uninitialised memory unless K is 2048, 4096, 8192 or 10240. Scales and bias are fp32; the output is bf16, as any other 16-bit dtype is left unwritten.
"""

import importlib
import sys

import torch

from ..formats import QuantizedWeight
from .contract import Rows, Verdict
from .devices import nvidia
from .foreign import ForeignKernel
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .packages import Found, Package
from .quantize_rows import quantize_rows

Q8F = Package(
    "q8_kernels", ("q8_kernels", "q8-kernels"), ("q8_kernels",), {}, "build it from github.com/KONAKONA666/q8_kernels; it is not on PyPI"
)

IN_MULTIPLE, OUT_MULTIPLE = 64, 128
"""Its tiles: only the number of rows may be any."""

_LINEAR = "q8_kernels.functional.linear"


def _product(name: str):
    @operator(f"q8f_{name}{MATMUL_ARGUMENTS}", fake_matmul)
    def product(rows, row_scale, data, scale, bias, out_dtype):
        linear = getattr(sys.modules[_LINEAR], name)
        bias = None if bias is None else bias.float()
        return linear(rows, data, bias=bias, scale_a=row_scale.flatten(), scale_b=scale.flatten(), out_dtype=torch.bfloat16).to(out_dtype)

    return product


class _Q8F(ForeignKernel):
    package = Q8F
    product: str

    def load(self, found: Found) -> None:
        if not hasattr(importlib.import_module(_LINEAR), self.product):
            raise ImportError(f"it has no {self.product}: it is the fork by Lightricks, whose int8 product runs as int8-q8f")

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype) -> Verdict:
        needed = f"inputs divisible by {IN_MULTIPLE} and outputs by {OUT_MULTIPLE}"
        if in_features % IN_MULTIPLE or out_features % OUT_MULTIPLE:
            return False, f"q8_kernels needs {needed}, this weight is {out_features} x {in_features}"
        return True, needed

    def tolerance(self, dtype: torch.dtype) -> float:
        return 0.004  # for fp32 too, as it writes bf16


fp8_product, int8_product = _product("fp8_linear"), _product("q8_linear")


class FP8(_Q8F):
    name, format, product, variant = "fp8-q8f", "fp8-channel", "fp8_linear", "q8_kernels' fp8_linear"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 9), (8, 9), but="q8_kernels is built for sm_89 alone")

    def quantize(self, x: torch.Tensor) -> Rows:
        return Rows(*quantize_rows(x, torch.float8_e4m3fn))

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return fp8_product(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)


class INT8(_Q8F):
    name, format, product, variant = "int8-q8f", "int8-channel", "q8_linear", "q8_kernels' q8_linear"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 0), but="neither q8_kernels nor its fork is built for it")

    def quantize(self, x: torch.Tensor) -> Rows:
        return Rows(*quantize_rows(x, torch.int8))

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return int8_product(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)
