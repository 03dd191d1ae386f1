"""What the kernels have in common that multiply 8-bit rows with one scale each by weights with one scale a channel."""

from collections.abc import Callable

import torch

from ..formats import FORMATS, QuantizedWeight
from .contract import Kernel
from .rows import Coding, Rows


class ScaledProduct(Kernel):
    """Quantizes activations by row (token) to the dtype of its format, and multiplies both scales in."""

    product: Callable[..., torch.Tensor]
    """An operator of MATMUL_ARGUMENTS."""

    @property
    def coding(self) -> Coding:
        return Coding(FORMATS[self.format].dtype)

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return self.product(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)
