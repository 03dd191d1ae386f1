"""`fp8-vllm` and `int8-vllm`: vLLM's CUTLASS products, called through its operator library; vllm itself is not imported.

Signature of `_C::cutlass_scaled_mm` as in vllm 0.8 to 0.33: a [M, K] and b [K, N] column-major, both fp8 or int8; scales fp32, one a row and one
a column; bias in the output's dtype; output bf16 or fp16, allocated by the caller.
"""

import torch

from .contract import Verdict
from .devices import nvidia
from .foreign.kernel import ForeignKernel
from .foreign.libraries import register
from .foreign.packages import VLLM_FOR_TORCH, Found, Package
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .scaled_product import ScaledProduct

VLLM = Package("vllm", ("vllm",), "vllm", VLLM_FOR_TORCH, linux_only=True)

LIBRARIES = ("_C_stable_libtorch*.so", "_C.*.so", "_C.so")
"""vllm 0.24 and newer have all operators in the first, older ones in the second or in both."""


@operator("vllm_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def vllm_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """cutlass_scaled_mm with the scales and the bias in its epilogue."""
    computed = out_dtype if out_dtype is torch.float16 else torch.bfloat16
    y = rows.new_empty((rows.shape[0], data.shape[0]), dtype=computed)
    torch.ops._C.cutlass_scaled_mm(y, rows, data.t(), row_scale, scale, None if bias is None else bias.to(computed))
    return y.to(out_dtype)


class _VLLM(ScaledProduct, ForeignKernel):
    package, product, variant = VLLM, vllm_matmul, "vLLM's cutlass_scaled_mm"
    in_multiple = out_multiple = 16
    is_exact_in_fp32 = False  # it writes bf16 then

    def load(self, found: Found, device: torch.device) -> None:
        register(found, LIBRARIES, ["_C::cutlass_scaled_mm"], "vllm._custom_ops")


class FP8(_VLLM):
    name, format = "fp8-vllm", "fp8-channel"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 9), but="older GPUs have no fp8 products")


class INT8(_VLLM):
    name, format = "int8-vllm", "int8-channel"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (7, 5), (9, 0), but="vLLM has no int8 product for Blackwell")


VARIANTS = (FP8(), INT8())
