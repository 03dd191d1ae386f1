"""`fp8-vllm` and `int8-vllm`: vLLM's CUTLASS products, called through its operator library; vllm itself is not imported.

Signature of `_C::cutlass_scaled_mm` as in vllm 0.8 to 0.33: a [M, K] and b [K, N] column-major, both fp8 or int8; scales fp32, one a row and one
a column; bias in the output's dtype; output bf16 or fp16, allocated by the caller.
"""

import torch

from ..formats import QuantizedWeight
from .contract import Rows, Verdict
from .devices import nvidia
from .foreign import ForeignKernel
from .libraries import register
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .packages import Found, Package
from .quantize_rows import quantize_rows
from .versions import VLLM_FOR_TORCH

VLLM = Package("vllm", ("vllm",), ("vllm",), VLLM_FOR_TORCH, linux_only=True)

LIBRARIES = ("_C_stable_libtorch*.so", "_C.*.so", "_C.so")
"""vllm 0.24 and newer have all operators in the first, older ones in the second or in both."""

MULTIPLE = 16


@operator("vllm_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def vllm_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """cutlass_scaled_mm with the scales and the bias in its epilogue."""
    computed = out_dtype if out_dtype is torch.float16 else torch.bfloat16
    y = rows.new_empty((rows.shape[0], data.shape[0]), dtype=computed)
    torch.ops._C.cutlass_scaled_mm(y, rows, data.t(), row_scale, scale, None if bias is None else bias.to(computed))
    return y.to(out_dtype)


class _VLLM(ForeignKernel):
    package = VLLM
    variant = "vLLM's cutlass_scaled_mm"

    def load(self, found: Found) -> None:
        register(found, LIBRARIES, ["_C::cutlass_scaled_mm"], "vllm._custom_ops")

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype) -> Verdict:
        if in_features % MULTIPLE or out_features % MULTIPLE:
            return False, f"vLLM's product needs sizes divisible by {MULTIPLE}, this weight is {out_features} x {in_features}"
        return True, f"sizes divisible by {MULTIPLE}"

    def tolerance(self, dtype: torch.dtype) -> float:
        return 0.004  # for fp32 too, as it writes bf16 then

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return vllm_matmul(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)


class FP8(_VLLM):
    name, format = "fp8-vllm", "fp8-channel"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 9), but="older GPUs have no fp8 products")

    def quantize(self, x: torch.Tensor) -> Rows:
        return Rows(*quantize_rows(x, torch.float8_e4m3fn))


class INT8(_VLLM):
    name, format = "int8-vllm", "int8-channel"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (7, 5), (9, 0), but="vLLM has no int8 product for Blackwell")

    def quantize(self, x: torch.Tensor) -> Rows:
        return Rows(*quantize_rows(x, torch.int8))
