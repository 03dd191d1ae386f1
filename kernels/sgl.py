"""`fp8-sgl` and `int8-sgl`: the CUTLASS products of sgl-kernel (sglang-kernel since 0.4), called through its operator library.

Signature of `sgl_kernel::{fp8,int8}_scaled_mm` as in sgl-kernel 0.3 to sglang-kernel 0.4.10: a [M, K], b [K, N] column-major, scales of exactly M
and N numbers in fp32, the output's dtype, bias in that dtype.
"""

from typing import ClassVar

import torch

from ..formats import QuantizedWeight
from .contract import Rows, Verdict
from .devices import nvidia
from .foreign import ForeignKernel
from .libraries import register
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .packages import Found, Package
from .quantize_rows import quantize_rows
from .versions import SGL_FOR_TORCH

SGL = Package("sglang-kernel", ("sglang-kernel", "sgl-kernel"), ("sgl_kernel",), SGL_FOR_TORCH, linux_only=True)

IN_MULTIPLE, OUT_MULTIPLE = 16, 8


def _capability() -> tuple[int, int]:
    return torch.cuda.get_device_capability() if torch.cuda.is_available() else (0, 0)


def _libraries() -> tuple[str, ...]:
    """The package's own choice: one library for Hopper, one with precise arithmetic for everything else; older versions have a single one."""
    return ("sm90/common_ops*.so" if _capability() == (9, 0) else "sm100/common_ops*.so", "common_ops*.so")


def _product(name: str):
    @operator(f"sgl_{name}{MATMUL_ARGUMENTS}", fake_matmul)
    def product(rows, row_scale, data, scale, bias, out_dtype):
        computed = out_dtype if out_dtype is torch.float16 else torch.bfloat16
        bias = None if bias is None else bias.to(computed)
        return getattr(torch.ops.sgl_kernel, name)(rows, data.t(), row_scale, scale, computed, bias).to(out_dtype)

    return product


class _SGL(ForeignKernel):
    package = SGL
    product: ClassVar[str]

    def load(self, found: Found) -> None:
        register(found, _libraries(), [f"sgl_kernel::{self.product}"], "sgl_kernel")

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype) -> Verdict:
        needed = f"inputs divisible by {IN_MULTIPLE} and outputs by {OUT_MULTIPLE}"
        if in_features % IN_MULTIPLE or out_features % OUT_MULTIPLE:
            return False, f"sgl-kernel needs {needed}, this weight is {out_features} x {in_features}"
        return True, needed

    def tolerance(self, dtype: torch.dtype) -> float:
        return 0.004  # for fp32 too, as it writes bf16 then


fp8_product, int8_product = _product("fp8_scaled_mm"), _product("int8_scaled_mm")


class FP8(_SGL):
    name, format, product, variant = "fp8-sgl", "fp8-channel", "fp8_scaled_mm", "sgl-kernel's fp8_scaled_mm"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 9), but="older GPUs have no fp8 products")

    def quantize(self, x: torch.Tensor) -> Rows:
        return Rows(*quantize_rows(x, torch.float8_e4m3fn))

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return fp8_product(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)


class INT8(_SGL):
    name, format, product, variant = "int8-sgl", "int8-channel", "int8_scaled_mm", "sgl-kernel's int8_scaled_mm"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (7, 5), (9, 0), but="sgl-kernel has no int8 product for Blackwell")

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype) -> Verdict:
        if dtype is not torch.float16 and _capability() == (7, 5):
            return False, "on sm_75 sgl-kernel writes fp16 only, which bf16 and fp32 activations could overflow"
        return super().can_run(rows, in_features, out_features, dtype)

    def quantize(self, x: torch.Tensor) -> Rows:
        return Rows(*quantize_rows(x, torch.int8))

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return int8_product(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)
