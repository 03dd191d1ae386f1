"""A product's rows and what stands before it in a transformer block, in one pass: norm with modulation, a residual added before that, GELU.

Each is computed in fp32 from its input to the codes, where the separate steps round to 16 bits between them. Rows are written in a coding, or as
floats of the input's dtype; on a device without Triton the same is done by torch in several passes.
"""

from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F

from . import jit
from .checks.once import once
from .operators import operator
from .pieces import pieces
from .quantize import empty, quantize
from .quantize_rows import LIMITS, PIECE_ELEMENTS
from .rows import CHECKED_WIDTH, GROUP, Coding, Rows, floats


class Norm(NamedTuple):
    """A layer norm over the columns of rows [M, C], and what follows it.

    weight, bias: [C], or where the norm `modulates` (x * (1 + weight) + bias) one set for each rows_a_set rows of a sample, [sets of all samples, C].
    rows_a_batch: rows of one sample. sets: of one sample; the last of them may be short of rows, or have none.
    """

    weight: torch.Tensor | None
    bias: torch.Tensor | None
    eps: float
    modulates: bool = False
    rows_a_set: int = 1
    rows_a_batch: int = 1
    sets: int = 1


def _set_of(part: slice, rows_a_set: int, rows_a_batch: int, sets: int, device: torch.device) -> torch.Tensor:
    """The set of each of some rows, which the numbers of a Norm tell."""
    row = torch.arange(part.start, part.stop, device=device)
    return row // rows_a_batch * sets + row % rows_a_batch // rows_a_set


_NORM = "Tensor? weight, Tensor? bias, float eps, bool modulates, int rows_a_set, int rows_a_batch, int sets"
_CODING = "ScalarType dtype, int group"


def norm(x: torch.Tensor, after: Norm, coding: Coding | None) -> Rows:
    """The rows of normed x [M, C]."""
    return _rows(norm_rows(x, *after, *_as_arguments(coding, x.dtype)))


def add_norm(x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor | None, after: Norm, coding: Coding | None) -> tuple[torch.Tensor, Rows]:
    """x + y * gate in x's dtype, all [M, C], gate in sets as the norm has them; and the rows of that, normed."""
    total, *rows = add_norm_rows(x, y, gate, *after, *_as_arguments(coding, x.dtype))
    return total, _rows(rows)


def gelu(x: torch.Tensor, coding: Coding) -> Rows:
    """The rows of GELU, in tanh's form, of x [M, C]."""
    return _rows(gelu_rows(x, *_as_arguments(coding, x.dtype)))


def _as_arguments(coding: Coding | None, dtype: torch.dtype) -> tuple[torch.dtype, int]:
    return (dtype, -1) if coding is None else (coding.dtype, coding.group or 0)


def _coding(dtype: torch.dtype, group: int) -> Coding | None:
    return None if group < 0 else Coding(dtype, group or None)


def _rows(parts: list[torch.Tensor]) -> Rows:
    values, scale = parts
    return Rows(values, scale if scale.numel() or not values.numel() else None)


def _empty(x: torch.Tensor, coding: Coding | None) -> list[torch.Tensor]:
    values, scale = empty(x, coding)
    return [values, x.new_empty((x.shape[0], 0), dtype=torch.float32) if scale is None else scale]


def _fake_norm(x, weight, bias, eps, modulates, rows_a_set, rows_a_batch, sets, dtype, group):
    return tuple(_empty(x, _coding(dtype, group)))


def _fake_add_norm(x, y, gate, weight, bias, eps, modulates, rows_a_set, rows_a_batch, sets, dtype, group):
    return torch.empty_like(x), *_empty(x, _coding(dtype, group))


def _fake_add_gated(x, y, gate, rows_a_set, rows_a_batch, sets):
    return torch.empty_like(x)


def _fake_gelu(x, dtype, group):
    return tuple(empty(x, Coding(dtype, group or None)))


def _fake_rms_rope(x, weight, freqs, eps, rows_a_batch):
    return torch.empty_like(x)


@operator(f"norm_rows(Tensor x, {_NORM}, {_CODING}) -> (Tensor, Tensor)", _fake_norm)
def norm_rows(x, weight, bias, eps, modulates, rows_a_set, rows_a_batch, sets, dtype, group):
    """Values and scales of the rows of normed x."""
    _, *rows = _add_norm(x, None, None, Norm(weight, bias, eps, modulates, rows_a_set, rows_a_batch, sets), _coding(dtype, group))
    return tuple(rows)


@operator(f"add_norm_rows(Tensor x, Tensor y, Tensor? gate, {_NORM}, {_CODING}) -> (Tensor, Tensor, Tensor)", _fake_add_norm)
def add_norm_rows(x, y, gate, weight, bias, eps, modulates, rows_a_set, rows_a_batch, sets, dtype, group):
    """x + y * gate, and the values and scales of its rows, normed."""
    return tuple(_add_norm(x, y, gate, Norm(weight, bias, eps, modulates, rows_a_set, rows_a_batch, sets), _coding(dtype, group)))


@operator("add_gated(Tensor x, Tensor y, Tensor gate, int rows_a_set, int rows_a_batch, int sets) -> Tensor", _fake_add_gated)
def add_gated(x, y, gate, rows_a_set, rows_a_batch, sets):
    """x + y * gate in x's dtype, x and y [M, C], gate in sets as a Norm has them."""
    fused, out = _fused_for(x), torch.empty_like(x, memory_format=torch.contiguous_format)
    if fused is not None:
        with torch.cuda.device(x.device):
            fused.add_gated(x.contiguous(), y.contiguous(), gate.contiguous(), out, rows_a_set, rows_a_batch, sets)
        return out
    for part in pieces(x.shape[0], max(1, PIECE_ELEMENTS // max(1, x.shape[1]))):
        out[part] = x[part].float() + y[part].float() * gate[_set_of(part, rows_a_set, rows_a_batch, sets, x.device)].float()
    return out


@operator(f"gelu_rows(Tensor x, {_CODING}) -> (Tensor, Tensor)", _fake_gelu)
def gelu_rows(x, dtype, group):
    """Values and scales of the rows of GELU of x."""
    coding = Coding(dtype, group or None)
    fused = _fused_for(x)
    if fused is None:
        return tuple(_in_pieces(x, coding, lambda part: F.gelu(x[part].float(), approximate="tanh")))
    values, scale = empty(x, coding)
    with torch.cuda.device(x.device):
        fused.gelu_rows(x.contiguous(), values, scale, LIMITS[dtype])
    return values, scale


@operator("rms_rope(Tensor x, Tensor weight, Tensor freqs, float eps, int rows_a_batch) -> Tensor", _fake_rms_rope)
def rms_rope(x, weight, freqs, eps, rows_a_batch):
    """RMS norm over x [M, C], then the rotary embedding of its heads of D: neighbours turned in pairs by freqs [1 or batch, rows, 1, D / 2, 2, 2]."""
    fused, out = _fused_for(x), torch.empty_like(x, memory_format=torch.contiguous_format)
    if fused is not None:
        with torch.cuda.device(x.device):
            fused.rms_rope(x.contiguous(), weight, freqs.contiguous(), out, rows_a_batch, eps)
        return out
    pairs = freqs.shape[-3]
    for part in pieces(x.shape[0], max(1, PIECE_ELEMENTS // x.shape[1])):
        row = torch.arange(part.start, part.stop, device=x.device)
        turn = freqs[row // rows_a_batch if freqs.shape[0] > 1 else torch.zeros_like(row), row % rows_a_batch]
        normed = F.rms_norm(x[part].float(), (x.shape[1],), weight.float(), eps).view(len(row), -1, pairs, 1, 2)
        out[part] = (turn * normed).sum(dim=-1).flatten(1)
    return out


def _add_norm(x, y, gate, after: Norm, coding: Coding | None) -> list[torch.Tensor]:
    total = None if y is None else torch.empty_like(x, memory_format=torch.contiguous_format)
    fused = _fused_for(x)
    if fused is None:
        return [total, *_in_pieces(x, coding, lambda part: _normed(x, y, gate, total, after, part))]
    values, scale = _empty(x, coding)
    with torch.cuda.device(x.device):
        y = None if y is None else y.contiguous()
        fused.norm_rows(x.contiguous(), y, gate, total, after, values, scale if coding else None, LIMITS.get(values.dtype, 0.0))
    return [total, values, scale]


def _normed(x, y, gate, total, after: Norm, part: slice) -> torch.Tensor:
    """Some rows normed, in fp32; where y is given, their total is filled in."""
    has_sets, rows = gate is not None or after.modulates, x[part].float()
    sets = _set_of(part, after.rows_a_set, after.rows_a_batch, after.sets, x.device) if has_sets else None
    if y is not None:
        added = y[part].float()
        total[part] = rows + (added if gate is None else added * gate[sets].float())
        rows = total[part].float()
    rows = F.layer_norm(rows, (x.shape[1],), eps=after.eps)
    if after.weight is None:
        return rows
    if after.modulates:
        return rows * (1 + after.weight[sets].float()) + after.bias[sets].float()
    return rows * after.weight.float() + after.bias.float()


def _in_pieces(x: torch.Tensor, coding: Coding | None, make) -> list[torch.Tensor]:
    """Values and scales of what `make` gives for some rows of x after the other."""
    values, scale = _empty(x, coding)
    for part in pieces(x.shape[0], max(1, PIECE_ELEMENTS // max(1, x.shape[1]))):
        rows = quantize(make(part), coding)
        values[part] = rows.values
        if rows.scale is not None:
            scale[part] = rows.scale
    return [values, scale]


def _fused_for(x: torch.Tensor) -> ModuleType | None:
    return triton_fused(x.device) if x.is_cuda and x.numel() else None


@once
def triton_fused(device: torch.device) -> ModuleType | None:
    """The module of Triton kernels, or None where they do not work; the log says why, once."""

    def check(fused: ModuleType) -> bool:
        x = torch.linspace(-3, 2, 2 * CHECKED_WIDTH, dtype=torch.bfloat16, device=device).reshape(2, -1)
        weight, freqs = x[:1].contiguous(), torch.ones(1, 2, 1, GROUP // 2, 2, 2, device=device)
        after = Norm(weight, weight, 1e-6, True, 2, 2)
        coding = Coding(torch.int8)
        values, scale = empty(x, coding)
        total, out = torch.empty_like(x), torch.empty_like(x)
        with torch.cuda.device(device):
            fused.norm_rows(x, x, weight, total, after, values, scale, LIMITS[torch.int8])
            fused.rms_rope(x, x[0], freqs, out, 2, 1e-6)
        expected = _normed(x, x, weight, torch.empty_like(x), after, slice(0, 2))
        turned = F.rms_norm(x.float(), (CHECKED_WIDTH,), x[0].float(), 1e-6).view(2, -1, 2).sum(dim=-1, keepdim=True).expand(-1, -1, 2).flatten(1)
        return _alike(floats(Rows(values, scale)), expected, 0.02) and _alike(out.float(), turned, 0.005)

    return jit.if_right("fused", check, "blocks run step by step instead of fused")


def _alike(found: torch.Tensor, expected: torch.Tensor, error: float) -> bool:
    return bool((found - expected).norm() <= error * expected.norm())
