"""Triton kernels over rows: the activation quantizer and the int8 product's epilogue.

Imported on first use on a CUDA device, which the caller makes the current one. Fused multiply-adds are off in the quantizer, so that its codes
are bit for bit those of the eager one.
"""

import torch
import triton
import triton.language as tl

WIDEST_ROW = 32768
"""Rows up to this many elements stay in registers; longer ones are read twice, the second time from cache."""


@triton.jit
def _round_to_int(x):
    # Adding and subtracting 1.5 * 2**23 leaves the nearest integer, ties to even, for |x| < 2**22, without a library call.
    return (x + 12582912.0) - 12582912.0


@triton.jit
def _store_codes(values, offsets, mask, x, inverse, to_int: tl.constexpr):
    codes = x * inverse
    if to_int:
        codes = _round_to_int(codes)
    tl.store(values + offsets, codes.to(values.dtype.element_ty), mask=mask)


@triton.jit
def _quantize_row(x_ptr, values_ptr, scale_ptr, columns, limit, smallest, block: tl.constexpr, blocks: tl.constexpr, to_int: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    x_row, values_row = x_ptr + row * columns, values_ptr + row * columns
    offsets = tl.arange(0, block)
    mask = offsets < columns
    x = tl.load(x_row + offsets, mask=mask, other=0.0).to(tl.float32)
    amax = tl.max(tl.abs(x))
    bad = tl.max((x != x).to(tl.int32))
    for later in range(1, blocks):
        inside = later * block + offsets < columns
        part = tl.load(x_row + later * block + offsets, mask=inside, other=0.0).to(tl.float32)
        amax = tl.maximum(amax, tl.max(tl.abs(part)))
        bad = tl.maximum(bad, tl.max((part != part).to(tl.int32)))
    amax = tl.maximum(amax, smallest)
    # tl.max ignores NaN, which would hide it in an ordinary row.
    tl.store(scale_ptr + row, tl.where(bad > 0, float("nan"), tl.div_rn(amax, limit)))
    inverse = tl.div_rn(limit, amax)
    _store_codes(values_row, offsets, mask, x, inverse, to_int)
    for later in range(1, blocks):
        inside = later * block + offsets < columns
        part = tl.load(x_row + later * block + offsets, mask=inside, other=0.0).to(tl.float32)
        _store_codes(values_row + later * block, offsets, inside, part, inverse, to_int)


def quantize_rows(x: torch.Tensor, values: torch.Tensor, scale: torch.Tensor, limit: float, smallest: float) -> None:
    """Fill values [M, K] and scale [M, 1] from contiguous x [M, K], reading x once."""
    rows, columns = x.shape
    block = min(triton.next_power_of_2(columns), WIDEST_ROW)
    _quantize_row[(rows,)](
        x, values, scale, columns, limit, smallest,
        block=block, blocks=triton.cdiv(columns, block), to_int=values.dtype == torch.int8, num_warps=min(16, max(4, block // 1024)),
        enable_fp_fusion=False,
    )  # fmt: skip


@triton.jit
def _rescale_tile(
    products_ptr, row_scale_ptr, column_scale_ptr, bias_ptr, out_ptr, rows, columns, out_stride,
    has_bias: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    column = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    in_row, in_column = row < rows, column < columns
    mask = in_row[:, None] & in_column[None, :]
    row = row.to(tl.int64)
    y = tl.load(products_ptr + row[:, None] * columns + column[None, :], mask=mask, other=0).to(tl.float32)
    y = y * tl.load(row_scale_ptr + row, mask=in_row, other=0.0)[:, None]
    y = y * tl.load(column_scale_ptr + column, mask=in_column, other=0.0)[None, :]
    if has_bias:
        y = y + tl.load(bias_ptr + column, mask=in_column, other=0.0).to(tl.float32)[None, :]
    tl.store(out_ptr + row[:, None] * out_stride + column[None, :], y.to(out_ptr.dtype.element_ty), mask=mask)


def rescale(products: torch.Tensor, row_scale: torch.Tensor, column_scale: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor) -> None:
    """out = products * row_scale * column_scale.T + bias, all [M, N]; scales fp32 [M, 1] and [N, 1], bias [N]."""
    rows, columns = products.shape
    block_rows, block_columns = 8, 512
    _rescale_tile[(triton.cdiv(rows, block_rows), triton.cdiv(columns, block_columns))](
        products, row_scale, column_scale, bias, out, rows, columns, out.stride(0),
        has_bias=bias is not None, block_rows=block_rows, block_columns=block_columns, num_warps=8,
    )  # fmt: skip
