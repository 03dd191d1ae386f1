"""The Triton kernel of the quantizer of groups. Imported on first use on a CUDA device, which the caller makes the current one."""

import torch
import triton
import triton.language as tl

from .rows import largest, magnitude_bits

BLOCK_ROWS = 32
"""Rows of one group that a program takes: 8 KiB of bf16, and 128 bytes of scales, which lie together."""


@triton.jit(do_not_specialize=["rows", "scale_stride"])
def _quantize_tile(
    x_ptr, values_ptr, scale_ptr, rows, columns, groups, scale_stride, limit, smallest, block_rows: tl.constexpr, group: tl.constexpr,
):  # fmt: skip
    # Neighbouring programs take neighbouring groups of the same rows, so that memory is read in long runs.
    program = tl.program_id(0)
    index = program % groups
    row = program // groups * block_rows + tl.arange(0, block_rows)
    column = index * group + tl.arange(0, group)
    in_rows = row < rows
    row = row.to(tl.int64)
    mask, offsets = in_rows[:, None] & (column < columns)[None, :], row[:, None] * columns + column[None, :]
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0).to(tl.float32)
    amax, is_nan = largest(magnitude_bits(x), 1)
    amax = tl.maximum(amax, smallest)
    scale = tl.where(is_nan, float("nan"), tl.div_rn(amax, limit))
    tl.store(scale_ptr + index.to(tl.int64) * scale_stride + row, scale, mask=in_rows)
    codes = x * tl.div_rn(limit + tl.zeros_like(amax), amax)[:, None]
    tl.store(values_ptr + offsets, codes.to(values_ptr.dtype.element_ty), mask=mask)


def quantize_groups(x: torch.Tensor, values: torch.Tensor, scale: torch.Tensor, group: int, limit: float, smallest: float) -> None:
    """Fill values [M, K] and scale [M, K / group], which is column-major, from contiguous x [M, K], reading x once."""
    rows, columns = x.shape
    groups = scale.shape[1]
    _quantize_tile[(triton.cdiv(rows, BLOCK_ROWS) * groups,)](
        x, values, scale, rows, columns, groups, scale.stride(1), limit, smallest, block_rows=BLOCK_ROWS, group=group, num_warps=4,
        enable_fp_fusion=False,
    )  # fmt: skip
