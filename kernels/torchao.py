"""`int8-torchao`: torchao's own Triton product, whose rows' scales it applies; the columns' scales and the bias come after it in one pass.

LightX2V calls two private helpers that are gone since torchao 0.18, and takes ten times as long as with vLLM: eager torchao copies a transposed
weight before every product. Here `torchao.kernel.intmm_triton.int_scaled_matmul_kernel` is launched with a configuration of ours, as its own search
tries 960 of them for every number of rows. On the CPU `torchao.kernel.int_scaled_matmul` is what there is. Both are in torchao 0.15 to 0.18.
"""

import importlib

import torch

from .contract import Verdict
from .devices import capability, nvidia
from .foreign.kernel import ForeignKernel
from .foreign.packages import TORCHAO_FOR_TORCH, Found, Package
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .pieces import pieces
from .rescale import rescale
from .scaled_product import ScaledProduct
from .torch_int8 import cpu_has_int8_dot_products

TORCHAO = Package("torchao", ("torchao",), "torchao", TORCHAO_FOR_TORCH)

MOST_ELEMENTS = 1 << 30
"""Its kernel counts elements in 32 bits; more rows go in pieces."""


@operator("torchao_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def torchao_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """The product with the rows' scales in bf16 (fp32 on the CPU), then columns and bias."""
    y = fake_matmul(rows, row_scale, data, scale, bias, out_dtype)
    for part in pieces(rows.shape[0], max(1, MOST_ELEMENTS // max(data.shape))):
        product = _on_cuda(rows[part], row_scale[part], data) if rows.is_cuda else _on_cpu(rows[part], row_scale[part], data)
        rescale(product, None, scale, bias, y[part])
    return y


def _on_cuda(rows: torch.Tensor, row_scale: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    triton_products = importlib.import_module("torchao.kernel.intmm_triton")
    product = torch.empty(rows.shape[0], data.shape[0], device=rows.device, dtype=torch.bfloat16)
    with torch.cuda.device(rows.device):
        return triton_products.int_scaled_matmul_kernel(rows, data.t(), row_scale, product, _configuration(rows.device))


def _on_cpu(rows: torch.Tensor, row_scale: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    return importlib.import_module("torchao.kernel").int_scaled_matmul(rows, data.t(), row_scale)


def _configuration(device: torch.device):
    """Tiles for Hopper's tensor cores and shared memory (measured on an H200), or such as fit every GPU from sm_80."""
    triton = importlib.import_module("triton")
    if (9, 0) <= capability(device) < (11, 0):
        return triton.Config({"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 128, "GROUP_M": 8}, num_stages=3, num_warps=4)
    return triton.Config({"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64, "GROUP_M": 8}, num_stages=3, num_warps=8)


class TorchAO(ScaledProduct, ForeignKernel):
    name, format = "int8-torchao", "int8-channel"
    package, product, variant = TORCHAO, torchao_matmul, "torchao's int_scaled_matmul"
    in_multiple = 128  # its kernel reads whole blocks of inputs, beyond the last one too
    is_exact_in_fp32 = False  # its products are kept in bf16

    def runs_on(self, device: torch.device) -> Verdict:
        if device.type == "cpu":
            return cpu_has_int8_dot_products(), "torchao multiplies int8 by torch._int_mm here, which is slow on a CPU without avx512_vnni"
        return nvidia(device, (8, 0), but="torchao's Triton product needs asynchronous copies")

    def load(self, found: Found, device: torch.device) -> None:
        importlib.import_module("torchao.kernel")
        if device.type == "cuda" and not hasattr(importlib.import_module("torchao.kernel.intmm_triton"), "int_scaled_matmul_kernel"):
            raise ImportError("its module torchao.kernel.intmm_triton has no int_scaled_matmul_kernel: LightQuant knows torchao 0.15 to 0.18")


VARIANTS = (TorchAO(),)
