"""Triton kernels that make a product's rows from what comes before it: norm with modulation, GELU; and RMS norm with rotary embedding.

Imported on first use on a CUDA device, which the caller makes the current one. A program takes a row and holds it in registers, 128 columns
side by side, so that a scale for each 128 is as near as one for the row.
"""

import torch
import triton
import triton.language as tl

from ...formats.base import SMALLEST_AMAX
from ..rows import GROUP
from .rows import magnitude_bits

MOST_CHUNKS = 8
"""A row is worked on in at most so many parts, as few threads must not hold more than their registers."""


@triton.jit
def _codes(x, inverse, to_int: tl.constexpr, dtype: tl.constexpr):
    """x * inverse as codes; int8 by the rounding of an addition, see rows.py."""
    codes = x * inverse
    if to_int:
        return (codes + 12582912.0).to(tl.int32, bitcast=True).to(tl.int8)
    else:
        return codes.to(dtype)


@triton.jit
def _sum(x):
    """As [1, 1]. A row's parts are added up number by number before, since each sum over a program's threads costs them a wait for each other."""
    return tl.sum(tl.sum(x, 1, keep_dims=True), 0, keep_dims=True)


@triton.jit
def _scales(top, limit, smallest):
    """The scale and the factor to codes of what has these largest magnitude bits; NaN gives a NaN scale."""
    amax = tl.maximum(top.to(tl.float32, bitcast=True), smallest)
    scale = tl.where(top > 0x7F800000, float("nan"), tl.div_rn(amax, limit + tl.zeros_like(amax)))
    return scale, tl.div_rn(limit + tl.zeros_like(amax), amax)


@triton.jit
def _store_rows(
    values_ptr, scale_ptr, row, columns, scale_stride, limit, smallest, parts,
    count: tl.constexpr, groups: tl.constexpr, size: tl.constexpr, coding: tl.constexpr, to_int: tl.constexpr,
):  # fmt: skip
    """Write a row's parts as floats (coding 0), as codes with one scale (1) or with one each `size` columns (2)."""
    group, column = tl.arange(0, groups)[:, None], tl.arange(0, size)[None, :]
    values_row = values_ptr + row * columns
    if coding == 1:
        tops = magnitude_bits(parts[0])
        for index in tl.static_range(1, count):
            tops = tl.maximum(tops, magnitude_bits(parts[index]))
        top = tl.max(tl.max(tops, 1, keep_dims=True), 0, keep_dims=True)
        scale, inverse = _scales(top, limit, smallest)
        tl.store(scale_ptr + row + tl.zeros_like(top), scale)
    for index in tl.static_range(count):
        offsets = (index * groups + group) * size + column
        inside = offsets < columns
        if coding == 0:
            tl.store(values_row + offsets, parts[index].to(values_ptr.dtype.element_ty), mask=inside)
        elif coding == 1:
            tl.store(values_row + offsets, _codes(parts[index], inverse, to_int, values_ptr.dtype.element_ty), mask=inside)
        else:
            scale, inverse = _scales(tl.max(magnitude_bits(parts[index]), 1, keep_dims=True), limit, smallest)
            place = index * groups + group
            tl.store(scale_ptr + place.to(tl.int64) * scale_stride + row, scale, mask=place * size < columns)
            tl.store(values_row + offsets, _codes(parts[index], inverse, to_int, values_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _set_of(row, rows_a_set, rows_a_batch, sets):
    """The set that a row has; see Norm."""
    return (row // rows_a_batch) * sets + (row % rows_a_batch) // rows_a_set


@triton.jit(do_not_specialize=["rows_a_set", "rows_a_batch", "sets"])
def _norm_row(
    x_ptr, y_ptr, gate_ptr, sum_ptr, weight_ptr, bias_ptr, values_ptr, scale_ptr, columns, rows_a_set, rows_a_batch, sets,
    eps, scale_stride, limit, smallest, has_y: tl.constexpr, has_gate: tl.constexpr, has_weight: tl.constexpr, modulates: tl.constexpr,
    count: tl.constexpr, groups: tl.constexpr, size: tl.constexpr, coding: tl.constexpr, to_int: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    group, column = tl.arange(0, groups)[:, None], tl.arange(0, size)[None, :]
    set_row = _set_of(row, rows_a_set, rows_a_batch, sets) * columns
    parts = ()
    totals = tl.zeros((groups, size), tl.float32)
    for index in tl.static_range(count):
        offsets = (index * groups + group) * size + column
        inside = offsets < columns
        x = tl.load(x_ptr + row * columns + offsets, mask=inside, other=0.0).to(tl.float32)
        if has_y:
            y = tl.load(y_ptr + row * columns + offsets, mask=inside, other=0.0).to(tl.float32)
            if has_gate:
                y = y * tl.load(gate_ptr + set_row + offsets, mask=inside, other=0.0).to(tl.float32)
            x = (x + y).to(sum_ptr.dtype.element_ty)
            tl.store(sum_ptr + row * columns + offsets, x, mask=inside)
            x = x.to(tl.float32)
        totals += x
        parts = parts + (x,)  # noqa: RUF005, as Triton unpacks no tuples
    mean = _sum(totals) / columns
    squares = tl.zeros((groups, size), tl.float32)
    for index in tl.static_range(count):
        inside = (index * groups + group) * size + column < columns
        away = tl.where(inside, parts[index] - mean, 0.0)
        squares += away * away
    factor = tl.rsqrt(_sum(squares) / columns + eps)
    weight_row = set_row if modulates else 0
    normed = ()
    for index in tl.static_range(count):
        offsets = (index * groups + group) * size + column
        inside = offsets < columns
        x = (parts[index] - mean) * factor
        if has_weight:
            weight = tl.load(weight_ptr + weight_row + offsets, mask=inside, other=0.0).to(tl.float32)
            x = x * (weight + 1.0 if modulates else weight)
            x = x + tl.load(bias_ptr + weight_row + offsets, mask=inside, other=0.0).to(tl.float32)
        normed = normed + (tl.where(inside, x, 0.0),)  # noqa: RUF005
    _store_rows(
        values_ptr, scale_ptr, row, columns, scale_stride, limit, smallest, normed,
        count=count, groups=groups, size=size, coding=coding, to_int=to_int,
    )  # fmt: skip


@triton.jit(do_not_specialize=["rows_a_set", "rows_a_batch", "sets"])
def _add_gated_row(
    x_ptr, y_ptr, gate_ptr, out_ptr, columns, rows_a_set, rows_a_batch, sets, count: tl.constexpr, groups: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    group, column = tl.arange(0, groups)[:, None], tl.arange(0, size)[None, :]
    set_row = _set_of(row, rows_a_set, rows_a_batch, sets) * columns
    for index in tl.static_range(count):
        offsets = (index * groups + group) * size + column
        inside = offsets < columns
        x = tl.load(x_ptr + row * columns + offsets, mask=inside).to(tl.float32)
        y = tl.load(y_ptr + row * columns + offsets, mask=inside).to(tl.float32)
        x += y * tl.load(gate_ptr + set_row + offsets, mask=inside).to(tl.float32)
        tl.store(out_ptr + row * columns + offsets, x.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _gelu_row(
    x_ptr, values_ptr, scale_ptr, columns, scale_stride, limit, smallest,
    count: tl.constexpr, groups: tl.constexpr, size: tl.constexpr, coding: tl.constexpr, to_int: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    group, column = tl.arange(0, groups)[:, None], tl.arange(0, size)[None, :]
    parts = ()
    for index in tl.static_range(count):
        offsets = (index * groups + group) * size + column
        x = tl.load(x_ptr + row * columns + offsets, mask=offsets < columns, other=0.0).to(tl.float32)
        # tanh's form of GELU: x * (1 + tanh(u)) / 2 is x / (1 + exp(-2 u)), and these numbers have exp2's factor in them.
        x = x / (1.0 + tl.exp2(x * (-2.302208198 - 0.1029432397 * (x * x))))
        parts = parts + (x,)  # noqa: RUF005
    _store_rows(
        values_ptr, scale_ptr, row, columns, scale_stride, limit, smallest, parts,
        count=count, groups=groups, size=size, coding=coding, to_int=to_int,
    )  # fmt: skip


@triton.jit(do_not_specialize=["rows_a_batch"])
def _rms_rope_row(
    x_ptr, weight_ptr, freqs_ptr, out_ptr, columns, rows_a_batch, freqs_batch_stride, eps,
    count: tl.constexpr, heads: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    head, column = tl.arange(0, heads)[:, None], tl.arange(0, size)[None, :]
    parts = ()
    squares = tl.zeros((heads, size), tl.float32)
    for index in tl.static_range(count):
        offsets = (index * heads + head) * size + column
        x = tl.load(x_ptr + row * columns + offsets, mask=offsets < columns, other=0.0).to(tl.float32)
        squares += x * x
        parts = parts + (x,)  # noqa: RUF005
    factor = tl.rsqrt(_sum(squares) / columns + eps)
    # A row of freqs is [size / 2, 2, 2]: what the even and the odd number of a pair give to each.
    freqs_row = freqs_ptr + (row // rows_a_batch) * freqs_batch_stride + (row % rows_a_batch) * size * 2
    pair = tl.arange(0, size // 2) * 4
    even_even, odd_even = tl.load(freqs_row + pair)[None, :], tl.load(freqs_row + pair + 1)[None, :]
    even_odd, odd_odd = tl.load(freqs_row + pair + 2)[None, :], tl.load(freqs_row + pair + 3)[None, :]
    for index in tl.static_range(count):
        offsets = (index * heads + head) * size + column
        inside = offsets < columns
        x = parts[index] * factor * tl.load(weight_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        even, odd = tl.split(tl.reshape(x, (heads, size // 2, 2)))
        turned = tl.join(even_even * even + odd_even * odd, even_odd * even + odd_odd * odd)
        tl.store(out_ptr + row * columns + offsets, tl.reshape(turned, (heads, size)).to(out_ptr.dtype.element_ty), mask=inside)


def _cut(columns: int, size: int) -> dict[str, int]:
    """How a row is cut into parts: `count` of them, each of `groups` times `size` columns; size is a power of two."""
    wanted = triton.cdiv(columns, MOST_CHUNKS * size)
    groups = max(1024 // size, triton.next_power_of_2(wanted))
    groups = min(groups, triton.next_power_of_2(triton.cdiv(columns, size)))
    return {"count": triton.cdiv(columns, groups * size), "groups": groups, "size": size}


def _warps(cut: dict[str, int]) -> int:
    return min(16, max(1, cut["groups"] * cut["size"] // 256))


def _coded(values: torch.Tensor, scale: torch.Tensor | None, limit: float) -> dict:
    """What the kernels are told of how a row is written: as floats where there is no scale, with one scale, or with several."""
    coding = 0 if scale is None else 1 if scale.shape[1] == 1 else 2
    stride = 0 if scale is None else scale.stride(1)
    return {"scale_stride": stride, "limit": limit, "smallest": SMALLEST_AMAX, "coding": coding, "to_int": values.dtype is torch.int8}


def norm_rows(x, y, gate, total, norm, values, scale, limit: float) -> None:
    """Fill values, scale and, where y is given, total; see fused_rows.py."""
    rows, columns = x.shape
    cut = _cut(columns, GROUP)
    _norm_row[(rows,)](
        x, y, gate, total, norm.weight, norm.bias, values, scale, columns, norm.rows_a_set, norm.rows_a_batch, norm.sets,
        eps=norm.eps, has_y=y is not None, has_gate=gate is not None, has_weight=norm.weight is not None, modulates=norm.modulates,
        **cut, **_coded(values, scale, limit), num_warps=_warps(cut), enable_fp_fusion=False,
    )  # fmt: skip


def add_gated(x, y, gate, out, rows_a_set: int, rows_a_batch: int, sets: int) -> None:
    """Fill out; see fused_rows.py."""
    rows, columns = x.shape
    cut = _cut(columns, GROUP)
    _add_gated_row[(rows,)](x, y, gate, out, columns, rows_a_set, rows_a_batch, sets, **cut, num_warps=_warps(cut))


def gelu_rows(x, values, scale, limit: float) -> None:
    """Fill values and scale; see fused_rows.py."""
    rows, columns = x.shape
    cut = _cut(columns, GROUP)
    _gelu_row[(rows,)](x, values, scale, columns, **cut, **_coded(values, scale, limit), num_warps=_warps(cut), enable_fp_fusion=False)


def rms_rope(x, weight, freqs, out, rows_a_batch: int, eps: float) -> None:
    """Fill out; see fused_rows.py."""
    rows, columns = x.shape
    size = freqs.shape[-3] * 2
    cut = _cut(columns, size)
    heads = cut.pop("groups")
    stride = freqs.stride(0) if freqs.shape[0] > 1 else 0
    _rms_rope_row[(rows,)](
        x, weight, freqs, out, columns, rows_a_batch, stride, eps, heads=heads, **cut, num_warps=min(16, max(1, heads * size // 256)),
        enable_fp_fusion=False,
    )  # fmt: skip
