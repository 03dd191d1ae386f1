"""`fp8-sgl` and `int8-sgl`: the CUTLASS products of sgl-kernel (sglang-kernel since 0.4), called through its operator library.

Signature of `sgl_kernel::{fp8,int8}_scaled_mm` as in sgl-kernel 0.3 to sglang-kernel 0.4.10: a [M, K], b [K, N] column-major, scales of exactly M
and N numbers in fp32, the output's dtype, bias in that dtype.
"""

from typing import ClassVar

import torch

from .contract import Verdict
from .devices import capability, nvidia
from .foreign.kernel import ForeignKernel
from .foreign.libraries import register
from .foreign.packages import SGL_FOR_TORCH, Found, Package
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .scaled_product import ScaledProduct

SGL = Package("sglang-kernel", ("sglang-kernel", "sgl-kernel"), "sgl_kernel", SGL_FOR_TORCH, linux_only=True)


def libraries(device: torch.device) -> tuple[str, ...]:
    """The package's own choice: one library for Hopper, one with precise arithmetic for everything else; older versions have a single one."""
    return ("sm90/common_ops*.so" if capability(device) == (9, 0) else "sm100/common_ops*.so", "common_ops*.so")


def _product(name: str):
    @operator(f"sgl_{name}{MATMUL_ARGUMENTS}", fake_matmul)
    def product(rows, row_scale, data, scale, bias, out_dtype):
        computed = out_dtype if out_dtype is torch.float16 else torch.bfloat16
        bias = None if bias is None else bias.to(computed)
        return getattr(torch.ops.sgl_kernel, name)(rows, data.t(), row_scale, scale, computed, bias).to(out_dtype)

    return product


class _SGL(ScaledProduct, ForeignKernel):
    package = SGL
    function: ClassVar[str]
    in_multiple, out_multiple = 16, 8
    is_exact_in_fp32 = False  # it writes bf16 then

    def load(self, found: Found, device: torch.device) -> None:
        register(found, libraries(device), [f"sgl_kernel::{self.function}"], "sgl_kernel")


class FP8(_SGL):
    name, format, function, variant = "fp8-sgl", "fp8-channel", "fp8_scaled_mm", "sgl-kernel's fp8_scaled_mm"
    product = _product(function)

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 9), but="older GPUs have no fp8 products")


class INT8(_SGL):
    name, format, function, variant = "int8-sgl", "int8-channel", "int8_scaled_mm", "sgl-kernel's int8_scaled_mm"
    product = _product(function)

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (7, 5), (9, 0), but="sgl-kernel has no int8 product for Blackwell")

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype, device: torch.device) -> Verdict:
        if dtype is not torch.float16 and capability(device) == (7, 5):
            return False, "on sm_75 sgl-kernel writes fp16 only, which bf16 and fp32 activations could overflow"
        return super().can_run(rows, in_features, out_features, dtype, device)


VARIANTS = (FP8(), INT8())
