"""What `fp8-triton` and `int8-triton` have in common: products with one scale a row and one a column, by Triton, in two ways.

Triton takes no GPU older than sm_80: it dropped the tensor cores of sm_70 and sm_75. Its fp8 products begin with sm_89, the first that has them.
"""

from functools import cache
from typing import ClassVar

import torch

from ..formats import FORMATS
from .checks.numeric import small_check
from .contract import Verdict
from .devices import nvidia
from .foreign.packages import TRITON
from .jit.tiles import has_descriptors, tile_for
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .scaled_product import ScaledProduct

LARGE = (640, 1024, 768)
"""The size of a second check: more rows than the small one's, and so the tile that a video's tokens are multiplied by, which need not compile where
another did."""


@operator("triton_tma_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def triton_tma_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """The product by descriptors; by pointers where they can't be made or few rows don't need them."""
    out = fake_matmul(rows, row_scale, data, scale, bias, out_dtype)
    multiply_into(out, rows, row_scale, data, scale, bias, descriptors=True)
    return out


@operator("triton_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def triton_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """The product by pointers, whatever the shape."""
    out = fake_matmul(rows, row_scale, data, scale, bias, out_dtype)
    multiply_into(out, rows, row_scale, data, scale, bias, descriptors=False)
    return out


def multiply_into(
    out: torch.Tensor, rows: torch.Tensor, row_scale: torch.Tensor, data: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None,
    descriptors: bool,
) -> None:  # fmt: skip
    """Fill out [M, N], which may be some columns of a wider matrix, with the product of rows [M, K] and data [N, K]."""
    if not out.numel():
        return
    from .jit import products

    rows, data = rows.contiguous(), data.contiguous()
    capability, processors = _gpu(rows.device)
    descriptors = descriptors and products.describable(rows, data)
    tile = tile_for(capability, rows.dtype, *rows.shape, descriptors)
    with torch.cuda.device(rows.device):
        products.multiply(rows, row_scale.contiguous(), data, scale.contiguous(), bias, out, tile, processors)


@cache
def _gpu(device: torch.device) -> tuple[tuple[int, int], int]:
    """Capability and number of processors."""
    properties = torch.cuda.get_device_properties(device)
    return (properties.major, properties.minor), properties.multi_processor_count


class TritonProduct(ScaledProduct):
    """One way of multiplying codes of one dtype. lowest: the capability that Triton's products of them begin with."""

    package = TRITON
    lowest: ClassVar[tuple[int, int]]

    def __init__(self, descriptors: bool):
        self.descriptors = descriptors
        self.product = triton_tma_matmul if descriptors else triton_matmul
        self.variant = f"Triton, tiles {'brought by TMA' if descriptors else 'read by pointers'}"

    def is_supported(self, device: torch.device) -> Verdict:
        able, why = nvidia(device, self.lowest)
        if not able:
            return False, why
        if self.descriptors and not has_descriptors(_gpu(device)[0], FORMATS[self.format].dtype):
            return False, f"no tiles by TMA are known to be better on {why}"
        works, why = small_check(self, device)
        return small_check(self, device, LARGE) if works else (False, why)
