"""What every format is."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch


class QuantizedWeight(NamedTuple):
    """A stored weight of logical shape [N, K].

    data: the codes, in the format's dtype and packing.
    scale: fp32, in the shape the format stores it in. It is never rounded to a shorter dtype.
    """

    data: torch.Tensor
    scale: torch.Tensor


class Format(ABC):
    """A way to store a weight: dtype, granularity, keys and shapes on disk."""

    name: ClassVar[str]
    dtype: ClassVar[torch.dtype]
    keys: ClassVar[dict[str, str]]
    """Field of QuantizedWeight -> suffix of its key on disk, behind the layer's name."""

    @abstractmethod
    def quantize(self, weight: torch.Tensor, seed: int | None = None) -> QuantizedWeight:
        """Store a float weight [N, K] of any float dtype.

        With a seed the codes are rounded stochastically, which keeps small changes (a LoRA's) alive on average; without, to the nearest.
        """

    @abstractmethod
    def dequantize(self, weight: QuantizedWeight, dtype: torch.dtype) -> torch.Tensor:
        """The float weight [N, K] in `dtype`; the product of code and scale is taken in fp32."""

    @abstractmethod
    def slice_rows(self, weight: QuantizedWeight, start: int, stop: int) -> QuantizedWeight:
        """The stored output rows start..stop, as views."""

    @abstractmethod
    def problem(self, data: torch.Tensor, scale: torch.Tensor | None) -> str | None:
        """Why these two tensors are not a weight of this format, in words for an error, or None if they are."""
