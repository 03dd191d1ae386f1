"""`fp8-q8f` and `int8-q8f`: the products of q8_kernels. Written against its sources; NOT RUN: no GPU that it is built for was at hand.

KONAKONA's package (built for sm_89) has both products, the fork by Lightricks (built for the GPU at hand) int8 alone, by Triton. Both take int8
weights [N, K] as `q8_linear(a, b, bias=, scale_a=, scale_b=, out_dtype=)`; activations are always quantized here, as KONAKONA's own quantizer returns
uninitialised memory unless K is 2048, 4096, 8192 or 10240. Scales and bias are fp32; the output is bf16, as any other 16-bit dtype is left unwritten.
"""

import importlib
import sys
from typing import ClassVar

import torch

from .contract import Verdict
from .devices import nvidia
from .foreign.kernel import ForeignKernel
from .foreign.packages import Found, Package
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .scaled_product import ScaledProduct

Q8F = Package("q8_kernels", ("q8_kernels",), "q8_kernels", {}, "build it from github.com/KONAKONA666/q8_kernels; it is not on PyPI")

_LINEAR = "q8_kernels.functional.linear"


def _product(name: str):
    @operator(f"q8f_{name}{MATMUL_ARGUMENTS}", fake_matmul)
    def product(rows, row_scale, data, scale, bias, out_dtype):
        linear = getattr(sys.modules[_LINEAR], name)
        bias = None if bias is None else bias.float()
        return linear(rows, data, bias=bias, scale_a=row_scale.flatten(), scale_b=scale.flatten(), out_dtype=torch.bfloat16).to(out_dtype)

    return product


class _Q8F(ScaledProduct, ForeignKernel):
    package = Q8F
    function: ClassVar[str]
    in_multiple, out_multiple = 64, 128  # its tiles: only the number of rows may be any
    is_exact_in_fp32 = False  # it writes bf16

    def load(self, found: Found, device: torch.device) -> None:
        if not hasattr(importlib.import_module(_LINEAR), self.function):
            raise ImportError(f"it has no {self.function}: it is the fork by Lightricks, whose int8 product runs as int8-q8f")


class FP8(_Q8F):
    name, format, function, variant = "fp8-q8f", "fp8-channel", "fp8_linear", "q8_kernels' fp8_linear"
    product = _product(function)

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 9), (8, 9), but="q8_kernels is built for sm_89 alone")


class INT8(_Q8F):
    name, format, function, variant = "int8-q8f", "int8-channel", "q8_linear", "q8_kernels' q8_linear"
    product = _product(function)

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 0), but="neither q8_kernels nor its fork is built for it")


VARIANTS = (FP8(), INT8())
