"""int4-g128 weights expanded by Triton for the call and multiplied at the GPU's full speed: `int4-g128-triton` and `int4-g128-a8-triton`.

The first expands to the activations' dtype and leaves the product to torch. The second gives activations an int8 scale a token, expands to int8
with a scale an output row, and multiplies in int8. That rounds the weight a second time, to 1/127 of the largest weight that the row's scales
allow: where Gaussian weights are stored with an error of 0.103 they stay so, and heavy-tailed ones with outlier columns go from 0.221 to 0.228.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ..formats import INT4_G128, INT4_MARLIN, INT8_CHANNEL, PLAIN, QuantizedWeight, packing_of
from ..formats.base import SMALLEST_AMAX
from ..formats.int4_g128 import ZERO
from ..formats.int4_marlin import COLUMNS
from . import triton_int8
from .checks.numeric import small_check, tried
from .checks.once import once
from .contract import Kernel, Verdict
from .devices import nvidia
from .foreign.packages import TRITON
from .operators import MATMUL_ARGUMENTS, operator
from .pieces import pieces
from .rows import Coding, Rows
from .triton_product import multiply_into

PIECE_BYTES = 256 << 20
"""Of the expanded weight that exist at once; 5120 x 13824 in bf16 are 135 MiB."""

CHECKED = (128, 512)
"""Outputs and inputs of the weight whose expansion is compared, in both packings."""


def requantized(weight: QuantizedWeight) -> QuantizedWeight:
    """An int4-g128 weight as int8-channel: codes int8 [N, K] and fp32 scales [N, 1], 8 times a row's largest group scale / 127.

    code = round((code4 - 8) * group scale / row scale), in fp32, as the Triton kernel computes it.
    """
    plain = packing_of(INT4_G128.name, weight).to_plain(weight)
    groups = plain.scale.float()
    amax = (ZERO * groups.abs().amax(dim=1, keepdim=True)).clamp_(min=SMALLEST_AMAX)
    scale = amax / torch.full_like(amax, INT8_CHANNEL.limit)  # divided by a tensor, as a GPU multiplies by a plain number's reciprocal
    whole = plain._replace(scale=torch.ones_like(groups))
    codes = INT4_G128.dequantize(whole, torch.float32).unflatten(1, (groups.shape[1], -1)) * (groups / scale)[:, :, None]
    return QuantizedWeight(codes.round_().flatten(1).to(torch.int8), scale)


def _shape(data: torch.Tensor, scale: torch.Tensor) -> tuple[int, int]:
    weight = QuantizedWeight(data, scale)
    return packing_of(INT4_G128.name, weight).shape(weight)


def _fake_linear(x, data, scale, bias):
    return x.new_empty((x.shape[0], _shape(data, scale)[0]))


def _fake_matmul(rows, row_scale, data, scale, bias, out_dtype):
    return rows.new_empty((rows.shape[0], _shape(data, scale)[0]), dtype=out_dtype)


@operator("int4_triton_linear(Tensor x, Tensor data, Tensor scale, Tensor? bias) -> Tensor", _fake_linear)
def int4_triton_linear(x, data, scale, bias):
    """x [M, K] @ W.T + bias in x's dtype, W being expanded to that dtype."""
    bias = None if bias is None else bias.to(x.dtype)
    products = [F.linear(x, piece, None if bias is None else bias[part]) for part, piece in _expanded(data, scale, x.dtype)]
    return products[0] if len(products) == 1 else torch.cat(products, dim=1)


@operator("int4_triton_a8_matmul" + MATMUL_ARGUMENTS, _fake_matmul)
def int4_triton_a8_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """The product of int8 rows [M, K] with the weight, which is expanded to int8."""
    from .jit import int4

    y = _fake_matmul(rows, row_scale, data, scale, bias, out_dtype)
    weight_scale = torch.empty(y.shape[1], 1, device=data.device, dtype=torch.float32)
    with torch.cuda.device(data.device):
        int4.scale_rows(data, scale, weight_scale, SMALLEST_AMAX)
    descriptors = triton_int8.VARIANTS[0].is_supported(rows.device)[0]
    for part, piece in _expanded(data, scale, torch.int8, weight_scale):
        multiply_into(y[:, part], rows, row_scale, piece, weight_scale[part], None if bias is None else bias[part], descriptors)
    return y


def _expanded(
    data: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype, weight_scale: torch.Tensor | None = None
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Output rows and the weight expanded for them, a piece at a time in the same memory."""
    from .jit import int4

    outputs, inputs = _shape(data, scale)
    height = max(COLUMNS, PIECE_BYTES // (inputs * dtype.itemsize) // COLUMNS * COLUMNS)
    scratch = torch.empty(min(height, outputs), inputs, device=data.device, dtype=dtype)
    for part in pieces(outputs, height):
        piece = scratch[: part.stop - part.start]
        with torch.cuda.device(data.device):
            int4.expand(data, scale, part.start, piece, weight_scale)
        yield part, piece


@once
def _expands(kernel: Kernel, device: torch.device) -> Verdict:
    """Whether both packings are expanded here, bit for bit, to what they hold."""

    def wrong() -> str:
        from .jit import int4

        outputs, inputs = CHECKED
        weight = torch.linspace(-1, 1, outputs * inputs).reshape(inputs, outputs).t() * torch.logspace(-2, 0, outputs)[:, None]
        for format_ in (INT4_G128, INT4_MARLIN):
            stored = format_.quantize(weight)
            piece = torch.empty(CHECKED, device=device, dtype=torch.bfloat16)
            with torch.cuda.device(device):
                int4.expand(stored.data.to(device), stored.scale.to(device), 0, piece)
            if not torch.equal(piece.cpu(), format_.dequantize(stored, torch.bfloat16)):
                return f"weights packed as {format_.packing} are not expanded to what they hold"
        return ""

    return tried(kernel, wrong)


class INT4Triton(Kernel):
    """Weight-only: activations stay float."""

    name, format = "int4-g128-triton", "int4-g128"
    package, variant = TRITON, "the weight expanded by Triton, activations in float"
    packings = (PLAIN, INT4_MARLIN.packing)

    def is_supported(self, device: torch.device) -> Verdict:
        able, why = nvidia(device, (8, 0))
        if not able:
            return False, why
        expands, why = _expands(self, device)
        return small_check(self, device) if expands else (False, why)

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return int4_triton_linear(rows.values, weight.data, weight.scale, bias).to(out_dtype)


class INT4A8Triton(INT4Triton):
    """int8 activations, and the weight rounded to int8 rows."""

    name, coding = "int4-g128-a8-triton", Coding(torch.int8)
    variant = "the weight expanded to int8 by Triton, activations in int8"

    def is_supported(self, device: torch.device) -> Verdict:
        for kernel in triton_int8.VARIANTS:
            able, why = kernel.is_supported(device)
            if able:
                return super().is_supported(device)
        return False, why

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype, device: torch.device) -> Verdict:
        return triton_int8.VARIANTS[0].can_run(rows, in_features, out_features, dtype, device)

    def operand(self, weight: QuantizedWeight) -> torch.Tensor:
        return INT8_CHANNEL.dequantize(requantized(weight), torch.float32)

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return int4_triton_a8_matmul(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)


VARIANTS = (INT4Triton(), INT4A8Triton())
