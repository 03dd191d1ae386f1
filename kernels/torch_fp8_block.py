"""`fp8-b128-torch`: fp8-b128 weights multiplied by torch alone: on Hopper by cuBLAS's own products of such blocks, elsewhere expanded."""

import torch

from ..formats import QuantizedWeight
from .contract import Kernel, Rows, Verdict
from .devices import nvidia
from .expand import Expanded
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .probe import small_check
from .quantize_groups import ROWS_IN_MULTIPLE, quantize_groups

MULTIPLE = 128


@operator("fp8_block_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def fp8_block_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """torch._scaled_mm with a scale for each 128 of a row and each 128 x 128 of the weight; it writes bf16, the bias is added after it."""
    y = torch._scaled_mm(rows, data.t(), row_scale, scale.t(), out_dtype=torch.bfloat16, use_fast_accum=True)
    return (y if bias is None else y.add_(bias)).to(out_dtype)


class BlockWise(Kernel):
    name, format, variant = "fp8-b128-torch", "fp8-b128", "torch._scaled_mm with block-wise scales"

    def is_supported(self, device: torch.device) -> Verdict:
        able, why = nvidia(device, (9, 0), (9, 0), but="cuBLAS has products of such blocks for Hopper alone")
        return small_check(self, device) if able else (False, why)

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype) -> Verdict:
        if in_features % MULTIPLE or out_features % MULTIPLE:
            return False, f"torch._scaled_mm needs both sizes divisible by {MULTIPLE} here, this weight is {out_features} x {in_features}"
        if rows % ROWS_IN_MULTIPLE:
            return False, f"torch._scaled_mm needs rows in multiples of {ROWS_IN_MULTIPLE} here, these are {rows}"
        return True, f"sizes divisible by {MULTIPLE}"

    def tolerance(self, dtype: torch.dtype) -> float:
        return 0.004  # for fp32 too, as it writes bf16

    def quantize(self, x: torch.Tensor) -> Rows:
        return Rows(*quantize_groups(x))

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return fp8_block_matmul(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)


VARIANTS = (BlockWise(), Expanded("fp8-b128-torch", "fp8-b128", "no products of fp8 blocks here"))
"""Best first; the last one runs everywhere."""
