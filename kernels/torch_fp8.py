"""`fp8-torch`: fp8-channel weights multiplied by torch alone, in the best of three ways that the device has.

The fp8 products accumulate in the tensor cores' reduced precision (about 14 bits on sm_89 and sm_90); held to the oracle on an H200 they stay
within 0.004 for bf16 and fp16 outputs. Where x is fp32 (ComfyUI's text encoders) the row-wise way computes in bf16 and returns fp32.
"""

import torch

from .checks.numeric import small_check
from .contract import Verdict
from .devices import nvidia
from .expand import Expanded
from .foreign.packages import TORCH
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .pieces import pieces
from .scaled_product import ScaledProduct

PIECE_ELEMENTS = 1 << 25
"""Raw fp32 products of the tensor-wise way that exist at once (128 MiB)."""

FAST_FROM = 1 << 19
"""Outputs from which on the row-wise way lets the tensor cores accumulate fast. For fewer cuBLAS splits K, for which it then has no product with a
bias (seen on an H200 up to 98304 outputs of 8192 inputs and more), and those are bound by the weight's bytes anyway."""

LARGE = (1024, 1024, 1024)
"""The size of a second check: of more than FAST_FROM outputs, as a video's products are, which need not be right where the few are."""


@operator("fp8_rowwise_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def fp8_rowwise_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """torch._scaled_mm with a scale a row and a scale a column in its epilogue; it writes bf16 only."""
    bias = None if bias is None else bias.to(torch.bfloat16)
    fast = rows.shape[0] * data.shape[0] >= FAST_FROM
    y = torch._scaled_mm(rows, data.t(), row_scale, scale.t(), bias=bias, out_dtype=torch.bfloat16, use_fast_accum=fast)
    return y.to(out_dtype)


@operator("fp8_tensorwise_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def fp8_tensorwise_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """torch._scaled_mm with unit scales and fp32 output, then rows and columns scaled in fp32: for GPUs without row-wise scales."""
    one = torch.ones((), device=rows.device, dtype=torch.float32)
    y = fake_matmul(rows, row_scale, data, scale, bias, out_dtype)
    for part in pieces(rows.shape[0], max(16, PIECE_ELEMENTS // data.shape[0])):
        raw = torch._scaled_mm(rows[part], data.t(), one, one, out_dtype=torch.float32)
        raw.mul_(row_scale[part]).mul_(scale.t())
        y[part] = raw if bias is None else raw.add_(bias)
    return y


class _ScaledMM(ScaledProduct):
    name, format, package = "fp8-torch", "fp8-channel", TORCH
    in_multiple = out_multiple = 16
    is_exact_in_fp32 = False  # the tensor cores' accumulators are shorter than that


class RowWise(_ScaledMM):
    product, variant = fp8_rowwise_matmul, "torch._scaled_mm with row-wise scales"

    def is_supported(self, device: torch.device) -> Verdict:
        # sm_89's row-wise kernel was seen to leave the current stream before torch 2.12, and sm_120's to be missing on Windows.
        capable, why = nvidia(device, (9, 0), (10, 3), but="its row-wise scales were not reliable there")
        if not capable:
            return False, why
        works, why = small_check(self, device)
        return small_check(self, device, LARGE) if works else (False, why)


class TensorWise(_ScaledMM):
    product, variant = fp8_tensorwise_matmul, "torch._scaled_mm with the scales applied after it"

    def is_supported(self, device: torch.device) -> Verdict:
        capable, why = nvidia(device, (8, 9), but="older GPUs have no fp8 products")
        return small_check(self, device) if capable else (False, why)


VARIANTS = (RowWise(), TensorWise(), Expanded("fp8-torch", "fp8-channel", "no fp8 products here"))
"""Best first; the last one runs everywhere and takes the shapes that the others don't."""
