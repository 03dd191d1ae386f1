"""Kernels of other packages that LightQuant names but does not have yet: they stay in the table and say so."""

import torch

from ..formats import QuantizedWeight
from .contract import Kernel, Rows, Verdict


class Unwritten(Kernel):
    """Never runs; its reason is the truth about it."""

    def __init__(self, name: str, format_name: str, package: str):
        self.name, self.format, self.package = name, format_name, package

    def is_supported(self, device: torch.device) -> Verdict:
        return False, f"this version of LightQuant has no kernel for {self.package} yet"

    def quantize(self, x: torch.Tensor) -> Rows:
        raise NotImplementedError(self.is_supported(x.device)[1])

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        raise NotImplementedError(self.is_supported(rows.values.device)[1])
