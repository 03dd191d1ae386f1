"""What a block does between its products, in two ways: step by step as ComfyUI does it, and in one pass each."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import torch

from ..bridge import wan_block
from ..kernels import Activation, Coding, Rows
from ..kernels.fused_rows import Norm, add_gated, add_norm, gelu, norm, rms_rope
from ..kernels.quantize import quantize


class After(NamedTuple):
    """A layer norm of the block's; with shift and scale, each [B, sets, C], it is modulated by them."""

    norm: torch.nn.LayerNorm
    shift: torch.Tensor | None = None
    scale: torch.Tensor | None = None


class Sum(NamedTuple):
    """total: gives x + y * gate, once the activation has been multiplied; activation: that of its norm."""

    total: Callable[[], torch.Tensor]
    activation: Activation


class Steps(Protocol):
    """x, y: [B, L, C]; gate: [B, sets, C]."""

    def normed(self, x: torch.Tensor, after: After) -> Activation: ...

    def sum(self, x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor | None, after: After) -> Sum: ...

    def gated(self, x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor) -> torch.Tensor: ...

    def rotated(self, rms_norm: torch.nn.RMSNorm, x: torch.Tensor, heads: int, freqs: torch.Tensor) -> torch.Tensor: ...

    def gelu(self, x: torch.Tensor) -> Activation:
        """x is nobody else's, and may have other values then."""


class Separate:
    """The steps of the block's own forward, bit for bit."""

    def normed(self, x: torch.Tensor, after: After) -> Activation:
        y = after.norm(x)
        if after.scale is not None:
            y = torch.addcmul(wan_block.repeated(after.shift, x), y, 1 + wan_block.repeated(after.scale, x))
        return Activation.of(y)

    def sum(self, x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor | None, after: After) -> Sum:
        total = x + y if gate is None else self.gated(x, y, gate)
        return Sum(lambda: total, self.normed(total, after))

    def gated(self, x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(x, y, wan_block.repeated(gate, x))

    def rotated(self, rms_norm: torch.nn.RMSNorm, x: torch.Tensor, heads: int, freqs: torch.Tensor) -> torch.Tensor:
        return wan_block.rotated(rms_norm(x).view(*x.shape[:2], heads, -1), freqs).flatten(2)

    def gelu(self, x: torch.Tensor) -> Activation:
        return Activation.of(_gelu_in_place(x))


class Fused:
    """Each in one pass over memory, in fp32 from its input to the codes."""

    def normed(self, x: torch.Tensor, after: After) -> Activation:
        return Activation(x, partial(norm, x.flatten(0, 1), _norm(after, x)))

    def sum(self, x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor | None, after: After) -> Sum:
        gate = None if gate is None else _sets(gate)
        both = _TotalAndRows(x.flatten(0, 1), y.flatten(0, 1), gate, _norm(after, x, gate))
        return Sum(lambda: both.total().view(x.shape), Activation(x, both.rows))

    def gated(self, x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        rows, sets = x.shape[1], gate.shape[1]
        return add_gated(x.flatten(0, 1), y.flatten(0, 1), _sets(gate), -(-rows // sets), rows, sets).view(x.shape)

    def rotated(self, rms_norm: torch.nn.RMSNorm, x: torch.Tensor, heads: int, freqs: torch.Tensor) -> torch.Tensor:
        weight, _ = wan_block.weights_of(rms_norm, x)
        return rms_rope(x.flatten(0, 1), weight, freqs, rms_norm.eps, x.shape[1]).view(x.shape)

    def gelu(self, x: torch.Tensor) -> Activation:
        return Activation(x, _Gelu(x.flatten(0, 1)).rows)


def _gelu_in_place(x: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.gelu_(x, approximate="tanh")


class _Gelu:
    """The rows of GELU of x, which as floats take its place: in a video's FFN they would be the largest of all that is in memory."""

    def __init__(self, x: torch.Tensor):
        self._x = x
        self._is_done = False

    def rows(self, coding: Coding | None) -> Rows:
        if coding is None and not self._is_done:
            _gelu_in_place(self._x)
            self._is_done = True
        return quantize(self._x, coding) if self._is_done else gelu(self._x, coding)


class _TotalAndRows:
    """x + y * gate, made with the first rows that are asked for; y is forgotten then."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor | None, after: Norm):
        self._terms: tuple | None = (x, y, gate)
        self._after = after
        self._total: torch.Tensor | None = None

    def rows(self, coding: Coding | None) -> Rows:
        if self._terms is None:
            return norm(self._total, self._after, coding)
        self._total, rows = add_norm(*self._terms, self._after, coding)
        self._terms = None
        return rows

    def total(self) -> torch.Tensor:
        if self._terms is not None:
            raise ValueError("the sum is made when its norm is multiplied, which has not been")
        return self._total


def _norm(after: After, x: torch.Tensor, gate: torch.Tensor | None = None) -> Norm:
    """gate: in as many sets as the norm has, or where that has none as the kernel is to count."""
    batch, rows = x.shape[:2]
    if after.scale is None:
        sets = 1 if gate is None else gate.shape[0] // batch
        return Norm(*wan_block.weights_of(after.norm, x), after.norm.eps, False, -(-rows // sets), rows, sets)
    sets = after.scale.shape[1]
    return Norm(_sets(after.scale), _sets(after.shift), after.norm.eps, True, -(-rows // sets), rows, sets)


def _sets(each: torch.Tensor) -> torch.Tensor:
    return each.contiguous().flatten(0, 1)
