"""What every kernel is: two functions, so that one quantized activation can feed several products."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from ..formats import PLAIN, QuantizedWeight, packing_of
from .checks.once import NotMadeError, nothing_runs
from .foreign.packages import Found, Package, find
from .quantize import quantize
from .rows import Coding, Rows, floats

Verdict = tuple[bool, str]
"""Whether something can run, and the reason in words for a user."""

Foreseen = tuple[bool | None, str]
"""The same as far as can be told without running anything; None where a check that was never made has to tell."""

UNCHECKED = "not checked yet"


class Kernel(ABC):
    """The code that computes y = x @ W.T + b from a stored weight.

    A kernel runs on the current stream and keeps no reference to a weight, which may live in a buffer that ComfyUI reuses.
    """

    name: ClassVar[str]
    """The scheme's name; the variants of one kernel share it."""
    format: ClassVar[str]
    variant: ClassVar[str] = ""
    """How this variant multiplies, in a few words, where a kernel has several."""
    package: ClassVar[Package]
    """What its code comes with."""
    packings: ClassVar[tuple[str, ...]] = (PLAIN,)
    """The packings of the format that it multiplies; weights in another one are repacked into the first of these when they are loaded."""
    coding: Coding | None = None
    """How its activations are quantized; None: they stay float."""
    in_multiple: ClassVar[int] = 1
    out_multiple: ClassVar[int] = 1
    """What a weight's inputs and outputs have to be divisible by."""
    is_exact_in_fp32: ClassVar[bool] = True
    """Whether outputs in fp32 are as exact as that; they are not where 16 bits are written first, or accumulators are shorter."""

    def found(self) -> Found | None:
        """Where the package is installed."""
        return find(self.package)

    @abstractmethod
    def is_supported(self, device: torch.device) -> Verdict:
        """Whether the device, its driver and the installed packages can run this kernel at all."""

    def foreseen(self, device: torch.device) -> Foreseen:
        """What is_supported would say, from what is known; no check is made."""
        try:
            with nothing_runs():
                return self.is_supported(device)
        except NotMadeError:
            return None, UNCHECKED

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype, device: torch.device) -> Verdict:
        """Whether the kernel takes a product of this shape with activations, and an output, of this dtype on a device that it supports."""
        needed = self._multiples()
        if in_features % self.in_multiple or out_features % self.out_multiple:
            return False, f"{self.variant} needs {needed}, this weight is {out_features} x {in_features}"
        return True, needed

    def _multiples(self) -> str:
        if self.in_multiple == self.out_multiple:
            return "any shape" if self.in_multiple == 1 else f"sizes divisible by {self.in_multiple}"
        return f"inputs divisible by {self.in_multiple}" + ("" if self.out_multiple == 1 else f" and outputs by {self.out_multiple}")

    def takes(self, rows: int, weight: QuantizedWeight, dtype: torch.dtype) -> Verdict:
        """Whether the kernel multiplies so many rows of a dtype with a weight of its format."""
        stored = packing_of(self.format, weight)
        if stored.packing not in self.packings:
            return False, f"it reads weights packed as {' or '.join(self.packings)}, this one is {stored.packing}"
        out_features, in_features = stored.shape(weight)
        return self.can_run(rows, in_features, out_features, dtype, weight.data.device)

    def tolerance(self, dtype: torch.dtype) -> float:
        """The largest relative error against the oracle that outputs of this dtype may have."""
        return 1e-5 if dtype is torch.float32 and self.is_exact_in_fp32 else 0.004

    def activations(self, rows: Rows) -> torch.Tensor:
        """The activations [M, K] in fp32 as this kernel multiplies them, for the oracle."""
        return floats(rows)

    def operand(self, weight: QuantizedWeight) -> torch.Tensor:
        """The weight [N, K] in fp32 as this kernel multiplies it, for the oracle."""
        return packing_of(self.format, weight).dequantize(weight, torch.float32)

    def quantize(self, x: torch.Tensor) -> Rows:
        """Activations [M, K] in bf16, fp16 or fp32, as this kernel's products take them."""
        return quantize(x, self.coding)

    @abstractmethod
    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        """The product [M, N] in out_dtype; bias is [N] in any float dtype."""

    def linear(self, x: torch.Tensor, weight: QuantizedWeight, bias: torch.Tensor | None) -> torch.Tensor:
        """y = x @ W.T + b for x [..., K]; y has x's dtype and leading shape."""
        y = self.matmul(self.quantize(x.reshape(-1, x.shape[-1])), weight, bias, x.dtype)
        return y.reshape(*x.shape[:-1], y.shape[-1])
