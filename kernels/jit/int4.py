"""Triton kernels that expand an int4-g128 weight, in either packing, to bf16, fp16 or fp32, or to int8 with a scale an output row.

They read each code once and write each number once. Fused multiply-adds are off, so that what they give is bit for bit what the formats'
`dequantize` gives, and what triton_int4.requantized gives. Imported on first use on a CUDA device, which the caller makes the current one.
"""

import torch
import triton
import triton.language as tl

from ...formats.int4_g128 import GROUP
from ...formats.int4_marlin import COLUMNS, TILE

PLAIN_ROWS, PLAIN_GROUPS = 8, 8
"""Output rows and groups of a program for the plain packing: 4 KiB of codes."""

SCALE_ROWS, SCALE_GROUPS = 32, 64


@triton.jit
def _expanded(codes, scale, row_scale, to_int: tl.constexpr):
    # As the lowest bits of the float 2**23 a code is that float plus itself: no conversion, which would run at an eighth of an addition's speed.
    x = (codes.to(tl.int32) | 0x4B000000).to(tl.float32, bitcast=True) - 8388616.0
    if to_int:
        # Likewise back: adding 1.5 * 2**23 leaves the nearest integer, ties to even, in the low bits.
        x = x * tl.div_rn(scale, row_scale)
        x = (x + 12582912.0).to(tl.int32, bitcast=True)
    else:
        x = x * scale
    return x


@triton.jit
def _expand_plain(
    data_ptr, scale_ptr, row_scale_ptr, out_ptr, outputs, groups,
    block_rows: tl.constexpr, block_groups: tl.constexpr, size: tl.constexpr, to_int: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    group = tl.program_id(1) * block_groups + tl.arange(0, block_groups)
    mask = (row < outputs)[:, None] & (group < groups)[None, :]
    place = row.to(tl.int64)[:, None] * groups + group[None, :]
    scale = tl.load(scale_ptr + place, mask=mask, other=0.0).to(tl.float32)[:, :, None]
    byte, code = tl.arange(0, size // 2), tl.arange(0, size)
    pairs = tl.load(data_ptr + place[:, :, None] * (size // 2) + byte[None, None, :], mask=mask[:, :, None], other=0)
    row_scale = tl.load(row_scale_ptr + row, mask=row < outputs, other=1.0)[:, None, None] if to_int else None
    x = _expanded(tl.interleave(pairs & 15, pairs >> 4), scale, row_scale, to_int)
    tl.store(out_ptr + place[:, :, None] * size + code[None, None, :], x.to(out_ptr.dtype.element_ty), mask=mask[:, :, None])


@triton.jit
def _marlin_column(output):
    # Where Marlin keeps an output's scale: each 64 of them, as 8 x 8, are transposed.
    return output // 64 * 64 + output % 8 * 8 + output % 64 // 8


@triton.jit(do_not_specialize=["first"])
def _expand_marlin(data_ptr, scale_ptr, row_scale_ptr, out_ptr, first, outputs, groups, size: tl.constexpr, to_int: tl.constexpr):
    # 64 outputs of one group: 8 tiles along K, in each 128 int32, which are (8 columns, 4 threads along K, 4 tiles along N) ...
    block, group = first + tl.program_id(0), tl.program_id(1)
    tile, word, nibble = tl.arange(0, 8), tl.arange(0, 128), tl.arange(0, 8)
    words = tl.load(data_ptr + (group * 8 + tile).to(tl.int64)[:, None] * (2 * outputs) + (block * 128 + word)[None, :])
    codes = (words[:, :, None] >> (4 * nibble)[None, None, :]) & 15
    # ... of eight codes: (2 along K, 2 halves of the tile along N, 2 halves along K). See formats/int4_marlin.py.
    codes = tl.permute(tl.reshape(codes, (8, 8, 4, 4, 2, 2, 2)), (3, 5, 1, 0, 6, 2, 4))
    output = tl.arange(0, 64)
    scale = tl.load(scale_ptr + group.to(tl.int64) * outputs + _marlin_column(block * 64 + output)).to(tl.float32)[:, None]
    row_scale = tl.load(row_scale_ptr + block * 64 + output)[:, None] if to_int else None
    x = _expanded(tl.reshape(codes, (64, size)), scale, row_scale, to_int)
    row = (tl.program_id(0) * 64 + output).to(tl.int64)
    place = row[:, None] * (groups * size) + group * size + tl.arange(0, size)[None, :]
    tl.store(out_ptr + place, x.to(out_ptr.dtype.element_ty))


@triton.jit
def _scale_rows(scale_ptr, out_ptr, outputs, groups, smallest, is_marlin: tl.constexpr, block_rows: tl.constexpr, block_groups: tl.constexpr):
    output = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    largest = tl.zeros((block_rows,), tl.float32)
    for start in range(0, groups, block_groups):
        group = start + tl.arange(0, block_groups)
        if is_marlin:
            place = group.to(tl.int64)[None, :] * outputs + _marlin_column(output)[:, None]
        else:
            place = output.to(tl.int64)[:, None] * groups + group[None, :]
        mask = (output < outputs)[:, None] & (group < groups)[None, :]
        largest = tl.maximum(largest, tl.max(tl.abs(tl.load(scale_ptr + place, mask=mask, other=0.0).to(tl.float32)), 1))
    tl.store(out_ptr + output, tl.div_rn(tl.maximum(8.0 * largest, smallest), 127.0), mask=output < outputs)


def expand(data: torch.Tensor, scale: torch.Tensor, first: int, out: torch.Tensor, row_scale: torch.Tensor | None = None) -> None:
    """Fill out [n, K] with the outputs of the weight from `first` on, in multiples of 64 where the packing is Marlin's.

    data, scale: the whole stored weight, plain (uint8) or Marlin's (int32). out: in a float dtype, or int8 with row_scale, fp32 [N, 1].
    """
    rows, inputs = out.shape
    groups, to_int = inputs // GROUP, out.dtype == torch.int8
    if data.dtype == torch.uint8:
        part = slice(first, first + rows)
        _expand_plain[(triton.cdiv(rows, PLAIN_ROWS), triton.cdiv(groups, PLAIN_GROUPS))](
            data[part], scale[part], row_scale[part] if to_int else None, out, rows, groups, block_rows=PLAIN_ROWS, block_groups=PLAIN_GROUPS,
            size=GROUP, to_int=to_int, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    else:
        _expand_marlin[(rows // COLUMNS, groups)](
            data, scale, row_scale, out, first // COLUMNS, data.shape[1] // 2, groups, size=GROUP, to_int=to_int, num_warps=4, enable_fp_fusion=False
        )


def scale_rows(data: torch.Tensor, scale: torch.Tensor, row_scale: torch.Tensor, smallest: float) -> None:
    """Fill row_scale, fp32 [N, 1], with what maps the largest weight that a row's scales allow, 8 times the largest of them, to 127."""
    is_marlin = data.dtype == torch.int32
    groups = data.shape[0] * TILE // GROUP if is_marlin else scale.shape[1]
    _scale_rows[(triton.cdiv(row_scale.shape[0], SCALE_ROWS),)](
        scale, row_scale, row_scale.shape[0], groups, smallest, is_marlin=is_marlin, block_rows=SCALE_ROWS, block_groups=SCALE_GROUPS,
        num_warps=4, enable_fp_fusion=False,
    )  # fmt: skip
