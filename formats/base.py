"""What every format is."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch


class QuantizedWeight(NamedTuple):
    """A stored weight of logical shape [N, K].

    data: the codes, in the format's dtype and packing.
    scale: fp32, or what the format says, in the shape the format stores it in. It is never rounded to a shorter dtype than the file's.
    """

    data: torch.Tensor
    scale: torch.Tensor


SMALLEST_AMAX = 1e-12
"""Keeps the scale of nothing but zeros finite. LightX2V uses 1e-5, which costs rows smaller than that their precision."""

ALL = slice(None)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
"""What users call the dtypes of what is not quantized."""

ABSMAX, MSE = "absmax", "mse"
"""How a scale is chosen: by the largest magnitude that it has to hold, or by the least squared error, which search.py looks for."""

PLAIN = "plain"
"""The packing that every format has, which any of its kernels' fallbacks reads."""


class Format(ABC):
    """A way to store a weight: dtype, granularity, keys and shapes on disk."""

    name: ClassVar[str]
    packing: ClassVar[str] = PLAIN
    """Which of the format's packings this is: the same numbers in another order, for a kernel that wants them so."""
    dtype: ClassVar[torch.dtype]
    """Of the codes; no two packings of a format share it."""
    keys: ClassVar[dict[str, str]]
    """Field of QuantizedWeight -> suffix of its key on disk, behind the layer's name."""

    @abstractmethod
    def quantize(self, weight: torch.Tensor, seed: int | None = None, scaling: str = ABSMAX) -> QuantizedWeight:
        """Store a float weight [N, K] of any float dtype; all is computed in fp32.

        With a seed the codes are rounded stochastically, which keeps small changes (a LoRA's) alive on average; without, to the nearest.
        scaling: ABSMAX or MSE. The error that the latter minimises is that of rounding to the nearest, with a seed too.
        """

    @abstractmethod
    def dequantize(self, weight: QuantizedWeight, dtype: torch.dtype, rows: slice = ALL) -> torch.Tensor:
        """Some output rows of the float weight [N, K] in `dtype`; the product of code and scale is taken in fp32."""

    def shape(self, weight: QuantizedWeight) -> tuple[int, int]:
        """[N, K] of a stored weight."""
        return self.shape_of(tuple(weight.data.shape))

    def shape_of(self, data_shape: tuple[int, int]) -> tuple[int, int]:
        """[N, K] of a weight whose codes have this shape."""
        return data_shape

    def data_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The shape of the codes of a weight [N, K]: the inverse of shape_of."""
        return shape

    def stores(self, shape: tuple[int, int]) -> bool:
        """Whether a weight of this shape can be stored at all."""
        return True

    def holds(self, weight: QuantizedWeight) -> bool:
        """Whether a plainly packed weight has exactly the same numbers in this packing."""
        return self.packing == PLAIN

    def from_plain(self, weight: QuantizedWeight) -> QuantizedWeight:
        """A plainly packed weight in this packing, which must hold it."""
        return weight

    def to_plain(self, weight: QuantizedWeight) -> QuantizedWeight:
        """The inverse of from_plain."""
        return weight

    def kept_scale(self, scale: torch.Tensor) -> torch.Tensor:
        """A file's scale as it is kept in memory: fp32."""
        return scale.float()

    @abstractmethod
    def scale_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The shape of the scale of codes of a shape."""

    def fits(self, dtype: torch.dtype, shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> bool:
        """Whether tensors of this dtype and these shapes are a weight of this format."""
        return dtype == self.dtype and len(shape) == 2 and tuple(scale_shape) == self.scale_shape(tuple(shape))

    def problem(self, data: torch.Tensor, scale: torch.Tensor | None) -> str | None:
        """Why these two tensors are not a weight of this format, in words for an error, or None if they are; on meta, by dtype and shape alone."""
        if data.dtype != self.dtype or data.ndim != 2:
            return f"its weight is {data.dtype} of shape {list(data.shape)}, where {self.name} has {self.dtype} with two dimensions"
        if scale is None:
            return f"it has no scale ({self.keys['scale'][1:]})"
        if not self.fits(data.dtype, data.shape, scale.shape) or not scale.dtype.is_floating_point:
            expected = list(self.scale_shape(tuple(data.shape)))
            return f"its scale is {scale.dtype} of shape {list(scale.shape)}, where {self.name} has floats of shape {expected}"
        if not scale.is_meta and not bool(torch.isfinite(scale).all()):
            return "its scale holds NaN or infinite values"
        return None
