"""The way that runs everywhere: the weight is expanded into the activations' dtype, a piece at a time, and multiplied there."""

import torch
import torch.nn.functional as F

from ..formats import PACKINGS, QuantizedWeight, packing_of
from .checks.numeric import small_check
from .contract import Kernel, Verdict
from .foreign.packages import TORCH
from .operators import operator
from .pieces import pieces
from .rows import Rows

PIECE_ELEMENTS = 1 << 24
"""A piece is at most 64 MiB in fp32; no float copy of the weight outlives its product."""

ROWS_IN_MULTIPLE = 128
"""Of outputs in a piece: of an odd number cuBLAS was seen on an H200 to sum in bf16, with an error of 0.0042."""


def _fake(x, data, scale, bias, format_name):
    weight = QuantizedWeight(data, scale)
    return x.new_empty((x.shape[0], packing_of(format_name, weight).shape(weight)[0]))


@operator("expanded_linear(Tensor x, Tensor data, Tensor scale, Tensor? bias, str format_name) -> Tensor", _fake)
def expanded_linear(x: torch.Tensor, data: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, format_name: str) -> torch.Tensor:
    """x [M, K] @ W.T + bias in x's dtype, W being expanded by its format in pieces of output rows."""
    weight, y = QuantizedWeight(data, scale), _fake(x, data, scale, bias, format_name)
    format_ = packing_of(format_name, weight)
    for part in pieces(y.shape[1], max(1, PIECE_ELEMENTS // (ROWS_IN_MULTIPLE * max(1, x.shape[1]))) * ROWS_IN_MULTIPLE):
        piece = format_.dequantize(weight, x.dtype, part)
        y[:, part] = F.linear(x, piece, None if bias is None else bias[part].to(x.dtype))
    return y


class Expanded(Kernel):
    """Weight-only: activations stay float, so it is the most exact way and costs a float product."""

    package, variant = TORCH, "the weight expanded piece by piece, activations in float"

    def __init__(self, name: str, format_name: str, why: str):
        self.name, self.format, self.why = name, format_name, why
        self.packings = tuple(format_.packing for format_ in PACKINGS if format_.name == format_name)

    def is_supported(self, device: torch.device) -> Verdict:
        works, reason = small_check(self, device)  # a device may lack the format's very dtype, as MPS may lack fp8
        return works, f"{self.variant}: {self.why}" if works else reason

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return expanded_linear(rows.values, weight.data, weight.scale, bias, self.format).to(out_dtype)
