"""Triton kernels over rows: the activation quantizer and the int8 product's epilogue.

Imported on first use on a CUDA device, which the caller makes the current one. Fused multiply-adds are off in the quantizer, so that its codes
are bit for bit those of the eager one.
"""

import torch
import triton
import triton.language as tl

WIDEST_ROW = 32768
"""Rows up to this many elements stay in registers; what is beyond is read twice, the second time from cache."""

MOST_CHUNKS = 8
"""A thread holds at most so many times 8 elements, beyond which registers are too few to keep enough rows on their way from memory."""


@triton.jit
def magnitude_bits(x):
    """|x| of fp32 as integers in the same order, where NaN is larger than every number."""
    return x.to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def largest(bits, axis: tl.constexpr):
    """The largest magnitude along an axis, and whether a NaN is there: one reduction tells both, where a float's would ignore NaN."""
    top = tl.max(bits, axis)
    return top.to(tl.float32, bitcast=True), top > 0x7F800000


@triton.jit
def _store_codes(values, offsets, mask, x, inverse, to_int: tl.constexpr):
    codes = x * inverse
    if to_int:
        # Adding 1.5 * 2**23 leaves the nearest integer, ties to even, in the low bits; conversions run at an eighth of an addition's speed.
        tl.store(values + offsets, (codes + 12582912.0).to(tl.int32, bitcast=True).to(tl.int8), mask=mask)
    else:
        tl.store(values + offsets, codes.to(values.dtype.element_ty), mask=mask)


@triton.jit
def _quantize_row(
    x_ptr, values_ptr, scale_ptr, columns, limit, smallest, chunk: tl.constexpr, held: tl.constexpr, chunks: tl.constexpr, to_int: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    x_row, values_row = x_ptr + row * columns, values_ptr + row * columns
    offsets = tl.arange(0, chunk)
    parts = ()
    tops = tl.zeros((chunk,), tl.int32)
    for index in tl.static_range(held):
        x = tl.load(x_row + index * chunk + offsets, mask=index * chunk + offsets < columns, other=0.0).to(tl.float32)
        tops = tl.maximum(tops, magnitude_bits(x))
        parts = parts + (x,)  # noqa: RUF005, as Triton unpacks no tuples
    for index in range(held, chunks):
        x = tl.load(x_row + index * chunk + offsets, mask=index * chunk + offsets < columns, other=0.0).to(tl.float32)
        tops = tl.maximum(tops, magnitude_bits(x))
    amax, is_nan = largest(tops, 0)
    amax = tl.maximum(amax, smallest)
    tl.store(scale_ptr + row, tl.where(is_nan, float("nan"), tl.div_rn(amax, limit)))
    inverse = tl.div_rn(limit, amax)
    for index in tl.static_range(held):
        _store_codes(values_row, index * chunk + offsets, index * chunk + offsets < columns, parts[index], inverse, to_int)
    for index in range(held, chunks):
        inside = index * chunk + offsets < columns
        x = tl.load(x_row + index * chunk + offsets, mask=inside, other=0.0).to(tl.float32)
        _store_codes(values_row, index * chunk + offsets, inside, x, inverse, to_int)


def quantize_rows(x: torch.Tensor, values: torch.Tensor, scale: torch.Tensor, limit: float, smallest: float) -> None:
    """Fill values [M, K] and scale [M, 1] from contiguous x [M, K], reading x once."""
    rows, columns = x.shape
    # Chunks of 8 elements a thread, so that a thread reads 16 bytes of bf16 at once; whole ones, so that few threads idle at the row's end.
    wanted = triton.cdiv(min(columns, WIDEST_ROW), MOST_CHUNKS)
    chunk = min(max(1024, triton.next_power_of_2(wanted)), triton.next_power_of_2(min(columns, WIDEST_ROW)))
    chunks = triton.cdiv(columns, chunk)
    _quantize_row[(rows,)](
        x, values, scale, columns, limit, smallest, chunk=chunk, held=min(chunks, triton.cdiv(WIDEST_ROW, chunk)), chunks=chunks,
        to_int=values.dtype == torch.int8, num_warps=min(16, max(1, chunk // 256)), enable_fp_fusion=False,
    )  # fmt: skip


@triton.jit(do_not_specialize=["rows"])
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
