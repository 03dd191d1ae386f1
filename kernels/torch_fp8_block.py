"""`fp8-b128-torch`: fp8-b128 weights multiplied by torch alone: on Hopper by cuBLAS's own products of such blocks, elsewhere expanded."""

import torch
import torch.nn.functional as F

from ..formats import FP8_B128, QuantizedWeight
from .checks.numeric import small_check
from .contract import Kernel, Verdict
from .devices import nvidia
from .expand import Expanded
from .foreign.packages import TORCH
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .quantize_groups import ROWS_IN_MULTIPLE
from .rescale import add_bias
from .rows import GROUP, Coding, Rows


@operator("fp8_block_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def fp8_block_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """torch._scaled_mm with a scale for each 128 of a row and each 128 x 128 of the weight; it writes bf16, the bias is added after it.

    cuBLAS wants rows in fours; their scales lie that far apart already (quantize_groups), and what the added rows give is cut off.
    """
    count = rows.shape[0]
    added = -count % ROWS_IN_MULTIPLE
    if added:
        rows = F.pad(rows.view(torch.uint8), (0, 0, 0, added)).view(rows.dtype)
        row_scale = row_scale.as_strided((count + added, row_scale.shape[1]), (1, count + added))
    y = torch._scaled_mm(rows, data.t(), row_scale, scale.t(), out_dtype=torch.bfloat16)[:count]
    return add_bias(y, bias).to(out_dtype)


class BlockWise(Kernel):
    name, format, variant = "fp8-b128-torch", "fp8-b128", "torch._scaled_mm with block-wise scales"
    package, coding = TORCH, Coding(FP8_B128.dtype, GROUP)
    in_multiple, out_multiple = 512, 128  # cuBLAS reads the weight's scales four to a row of blocks; others would be taken for their neighbours
    is_exact_in_fp32 = False  # it writes bf16

    def is_supported(self, device: torch.device) -> Verdict:
        able, why = nvidia(device, (9, 0), (9, 0), but="cuBLAS has products of such blocks for Hopper alone")
        return small_check(self, device) if able else (False, why)

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return fp8_block_matmul(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)


VARIANTS = (BlockWise(), Expanded("fp8-b128-torch", "fp8-b128", "no products of fp8 blocks here"))
"""Best first; the last one runs everywhere."""
