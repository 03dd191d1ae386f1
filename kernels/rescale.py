"""The epilogue of products that leave their scales, or some of them, to be applied after them."""

from types import ModuleType

import torch

from . import jit
from .checks.once import once


def rescale(products: torch.Tensor, row_scale: torch.Tensor | None, column_scale: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor) -> None:
    """out = products * row_scale * column_scale.T + bias, all [M, N]; scales fp32 [M, 1], None where they are in the products, and [N, 1], bias [N].

    In one pass where Triton works. Products in fp32 are overwritten.
    """
    triton_rows = triton_rescale(products.device) if products.is_cuda and products.is_contiguous() else None
    if triton_rows is not None:
        row_scale = products.new_ones((products.shape[0], 1), dtype=torch.float32) if row_scale is None else row_scale
        with torch.cuda.device(products.device):
            triton_rows.rescale(products, row_scale, column_scale, bias, out)
        return
    scaled = products.float()
    if row_scale is not None:
        scaled.mul_(row_scale)
    scaled.mul_(column_scale.t())
    out.copy_(scaled if bias is None else scaled.add_(bias))


def add_bias(products: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Products [M, N] with bias [N] added in place: torch's own sum was seen on an H200 to take three times as long as the bytes need."""
    if bias is not None:
        rescale(products, None, products.new_ones((products.shape[1], 1), dtype=torch.float32), bias, products)
    return products


@once
def triton_rescale(device: torch.device) -> ModuleType | None:
    """The module of Triton kernels, or None where its epilogue does not work; the log says why, once."""

    def check(triton_rows: ModuleType) -> bool:
        products, scale = torch.arange(-512, 512, dtype=torch.int32).reshape(2, 512), torch.tensor([[0.5], [2.0]])
        out = torch.empty(2, 512, device=device, dtype=torch.bfloat16)
        with torch.cuda.device(device):
            triton_rows.rescale(products.to(device), scale.to(device), torch.ones(512, 1).to(device), torch.zeros(512).to(out), out)
        return torch.equal(out.cpu(), (products * scale).bfloat16())

    return jit.if_right("rows", check, "int8 products are scaled by eager torch, in several passes instead of one")
