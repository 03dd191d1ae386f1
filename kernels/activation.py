"""One activation for several products: quantized at most once in each coding that their kernels take."""

from collections.abc import Callable
from functools import partial

import torch

from .quantize import quantize
from .rows import Coding, Rows


class Activation:
    """What layers multiply, for as long as its holder keeps it; nothing knows it by the identity of a tensor.

    like: an empty tensor [..., K] of its shape, dtype and device; make: its rows [M, K] in a coding, or as floats for None.
    """

    def __init__(self, x: torch.Tensor, make: Callable[[Coding | None], Rows]):
        """x: a tensor of the activation's shape, dtype and device; what is in it is not kept."""
        self.like = x.new_empty(()).expand(x.shape)
        self._make: Callable[[Coding | None], Rows] | None = make
        self._made: dict[Coding | None, Rows] = {}

    @classmethod
    def of(cls, x: torch.Tensor) -> "Activation":
        """That of a tensor [..., K]."""
        return cls(x, partial(quantize, x.reshape(-1, x.shape[-1])))

    def rows(self, coding: Coding | None) -> Rows:
        """The rows in a coding, made when they are first asked for."""
        if coding not in self._made:
            if self._make is None:
                raise ValueError("the activation was given up")
            self._made[coding] = self._make(coding)
        return self._made[coding]

    def give_up(self) -> None:
        """Keep nothing: all that multiply it have."""
        self._make = None
        self._made.clear()

    def floats(self) -> torch.Tensor:
        """The activation itself, [..., K] in its own dtype."""
        return self.rows(None).values.view(self.like.shape)
