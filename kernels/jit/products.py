"""Triton kernels of the 8-bit products: rows [M, K] by data [N, K], scaled a row and a column, with the bias, in one pass.

Two ways. By pointers, with masks, on every GPU from sm_80 and for every shape. By descriptors (TMA), where the GPU's copy engine brings the
tiles and takes the results, from sm_90 on and where rows of K codes begin at multiples of 16 bytes; it is persistent: a program multiplies one
tile after another, and the copy engine still writes the last one while it begins the next.

int8 accumulates in int32, exactly. fp8 accumulates in the tensor cores' own registers, on sm_89 and sm_90 about 14 bits of them.
Imported on first use on a CUDA device, which the caller makes the current one.
"""

import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from .tiles import ALIGNMENT, Tile


@triton.jit
def _place(index, tiles_down, tiles_across, group: tl.constexpr):
    # Tiles go down `group` rows of tiles before they go across, so that those running at one time share their operands in L2.
    in_group = group * tiles_across
    first = index // in_group * group
    height = tl.minimum(tiles_down - first, group)
    within = index % in_group
    return first + within % height, within // height


@triton.jit
def _halves(acc):
    height: tl.constexpr = acc.shape[0]
    width: tl.constexpr = acc.shape[1] // 2
    return tl.split(tl.permute(tl.reshape(acc, (height, 2, width)), (0, 2, 1)))


@triton.jit
def _finished(acc, row_scale, column, columns, column_scale_ptr, bias_ptr, has_bias: tl.constexpr):
    inside = column < columns
    # The two scales first: products of large activations with small weights would overflow before their column's scale brings them back.
    y = acc.to(tl.float32) * (row_scale[:, None] * tl.load(column_scale_ptr + column, mask=inside, other=0.0)[None, :])
    if has_bias:
        y += tl.load(bias_ptr + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    return y


@triton.jit
def _write(
    acc, row, row_scale, first_row, first_column, rows, columns, column_scale_ptr, bias_ptr, out_ptr, out_desc, out_stride,
    has_bias: tl.constexpr, has_out_desc: tl.constexpr, parts: tl.constexpr,
):  # fmt: skip
    width: tl.constexpr = acc.shape[1]
    if parts > 1:
        left, right = _halves(acc)
        _write(
            left, row, row_scale, first_row, first_column, rows, columns, column_scale_ptr, bias_ptr, out_ptr, out_desc, out_stride,
            has_bias, has_out_desc, parts // 2,
        )  # fmt: skip
        _write(
            right, row, row_scale, first_row, first_column + width // 2, rows, columns, column_scale_ptr, bias_ptr, out_ptr, out_desc, out_stride,
            has_bias, has_out_desc, parts // 2,
        )  # fmt: skip
    else:
        column = first_column + tl.arange(0, width)
        y = _finished(acc, row_scale, column, columns, column_scale_ptr, bias_ptr, has_bias).to(out_ptr.dtype.element_ty)
        if has_out_desc:
            out_desc.store([first_row, first_column], y)
        else:
            place = out_ptr + row.to(tl.int64)[:, None] * out_stride + column[None, :]
            tl.store(place, y, mask=(row < rows)[:, None] & (column < columns)[None, :])


@triton.jit(do_not_specialize=["rows"])
def multiply_by_pointers(
    a_ptr, b_ptr, out_ptr, row_scale_ptr, column_scale_ptr, bias_ptr, rows, columns, inner, out_stride,
    has_bias: tl.constexpr, even_inner: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr, block_inner: tl.constexpr,
    group: tl.constexpr, parts: tl.constexpr, acc_dtype: tl.constexpr,
):  # fmt: skip
    """One tile of the product a program; even_inner: K is a multiple of block_inner."""
    down, across = _place(tl.program_id(0), tl.cdiv(rows, block_rows), tl.cdiv(columns, block_columns), group)
    row, column = down * block_rows + tl.arange(0, block_rows), across * block_columns + tl.arange(0, block_columns)
    # Rows and columns beyond the edge read the last one again, which costs less than a mask and is never written. 75600 x 13824 needs int64.
    a = a_ptr + tl.minimum(row, rows - 1).to(tl.int64)[:, None] * inner
    b = b_ptr + tl.minimum(column, columns - 1).to(tl.int64)[None, :] * inner
    k = tl.arange(0, block_inner)
    acc = tl.zeros((block_rows, block_columns), dtype=acc_dtype)
    for start in range(0, inner, block_inner):
        if even_inner:
            left, right = tl.load(a + (start + k)[None, :]), tl.load(b + (start + k)[:, None])
        else:
            inside = start + k < inner
            left = tl.load(a + (start + k)[None, :], mask=inside[None, :], other=0.0)
            right = tl.load(b + (start + k)[:, None], mask=inside[:, None], other=0.0)
        acc = tl.dot(left, right, acc, out_dtype=acc_dtype)
    row_scale = tl.load(row_scale_ptr + row, mask=row < rows, other=0.0)
    _write(
        acc, row, row_scale, down * block_rows, across * block_columns, rows, columns, column_scale_ptr, bias_ptr, out_ptr, None, out_stride,
        has_bias, False, parts,
    )  # fmt: skip


@triton.jit(do_not_specialize=["rows", "programs"])
def multiply_by_descriptors(
    a_desc, b_desc, out_desc, out_ptr, row_scale_ptr, column_scale_ptr, bias_ptr, rows, columns, inner, out_stride, programs,
    has_bias: tl.constexpr, has_out_desc: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr, block_inner: tl.constexpr,
    group: tl.constexpr, parts: tl.constexpr, acc_dtype: tl.constexpr, flatten: tl.constexpr,
):  # fmt: skip
    """Every programs-th tile of the product a program; flatten: see tiles.Tile."""
    tiles_down, tiles_across = tl.cdiv(rows, block_rows), tl.cdiv(columns, block_columns)
    for index in tl.range(tl.program_id(0), tiles_down * tiles_across, programs, flatten=flatten):
        down, across = _place(index, tiles_down, tiles_across, group)
        first_row, first_column = down * block_rows, across * block_columns
        acc = tl.zeros((block_rows, block_columns), dtype=acc_dtype)
        for start in range(0, inner, block_inner):
            left, right = a_desc.load([first_row, start]), b_desc.load([first_column, start])
            acc = tl.dot(left, right.T, acc, out_dtype=acc_dtype)
        row = first_row + tl.arange(0, block_rows)
        row_scale = tl.load(row_scale_ptr + row, mask=row < rows, other=0.0)
        _write(
            acc, row, row_scale, first_row, first_column, rows, columns, column_scale_ptr, bias_ptr, out_ptr, out_desc, out_stride,
            has_bias, has_out_desc, parts,
        )  # fmt: skip


def describable(*matrices: torch.Tensor) -> bool:
    """Whether descriptors can be made of these row-major matrices."""
    return all(m.data_ptr() % ALIGNMENT == 0 and m.stride(0) * m.element_size() % ALIGNMENT == 0 for m in matrices)


def multiply(
    rows: torch.Tensor, row_scale: torch.Tensor, data: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor,
    tile: Tile, processors: int,
) -> None:  # fmt: skip
    """Fill out [M, N], whose rows may lie apart, from contiguous rows [M, K] and data [N, K], fp32 scales [M, 1] and [N, 1] and bias [N].

    tile: how; one by descriptors needs rows and data that are describable. processors: of the GPU, for a persistent kernel.
    """
    (count, inner), columns = rows.shape, data.shape[0]
    tiles = triton.cdiv(count, tile.rows) * triton.cdiv(columns, tile.columns)
    parts = tile.parts * max(1, out.element_size() // 2)
    common = {
        "has_bias": bias is not None, "block_rows": tile.rows, "block_columns": tile.columns, "block_inner": tile.inner, "group": tile.group,
        "acc_dtype": tl.float32 if rows.dtype.is_floating_point else tl.int32, "num_warps": tile.warps, "num_stages": tile.stages,
    }  # fmt: skip
    if not tile.descriptors:
        multiply_by_pointers[(tiles,)](
            rows, data, out, row_scale, scale, bias, count, columns, inner, out.stride(0),
            even_inner=inner % tile.inner == 0, parts=tile.parts, **common,
        )  # fmt: skip
        return
    a, b = TensorDescriptor.from_tensor(rows, [tile.rows, tile.inner]), TensorDescriptor.from_tensor(data, [tile.columns, tile.inner])
    has_out_desc = describable(out)
    out_desc = TensorDescriptor.from_tensor(out, [tile.rows, tile.columns // parts]) if has_out_desc else None
    programs = min(tiles, processors * tile.residents)
    multiply_by_descriptors[(programs,)](
        a, b, out_desc, out, row_scale, scale, bias, count, columns, inner, out.stride(0), programs,
        has_out_desc=has_out_desc, parts=parts, flatten=tile.flatten, **common,
    )  # fmt: skip
