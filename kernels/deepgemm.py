"""`fp8-b128-deepgemm`: DeepGEMM's product of fp8 rows in groups of 128 with a weight in blocks of 128 x 128.

`fp8_gemm_nt((a, sa), (w, sw), out)` since July 2025, `gemm_fp8_fp8_bf16_nt` before (the name LightX2V still calls): out is bf16, without a bias,
which is added after it. sa is column-major with columns padded to 16 bytes, as quantize_groups gives it. DeepGEMM compiles itself for every shape
of weight on first use, with nvcc. On sm_100 it wants scales that are powers of two, which a file's need not be: its check decides there.
"""

import importlib
import importlib.util
import os
import sys
from types import ModuleType

import torch

from ..formats import FP8_B128, QuantizedWeight
from .contract import Verdict
from .devices import nvidia
from .foreign.kernel import ForeignKernel
from .foreign.packages import Found, Package, find
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .rescale import add_bias
from .rows import GROUP, Coding, Rows
from .vllm import VLLM

FUNCTIONS = ("fp8_gemm_nt", "gemm_fp8_fp8_bf16_nt")
"""The product's name, the current one first."""

_MODULE = "deep_gemm"

_VENDORED = os.path.join("third_party", "deep_gemm")
"""Where vllm carries a DeepGEMM of its own."""

DEEPGEMM = Package("DeepGEMM", ("deep-gemm",), _MODULE, {}, "it comes with vllm, or is built from github.com/deepseek-ai/DeepGEMM")


@operator("deepgemm_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def deepgemm_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """The product in bf16 and the bias added to it."""
    y = rows.new_empty((rows.shape[0], data.shape[0]), dtype=torch.bfloat16)
    module = sys.modules[_MODULE]
    getattr(module, next(name for name in FUNCTIONS if hasattr(module, name)))((rows, row_scale), (data, scale), y)
    return add_bias(y, bias).to(out_dtype)


class DeepGEMM(ForeignKernel):
    name, format = "fp8-b128-deepgemm", "fp8-b128"
    package, variant = DEEPGEMM, "DeepGEMM"
    coding = Coding(FP8_B128.dtype, GROUP)
    in_multiple, out_multiple = 128, 64
    is_exact_in_fp32 = False  # it writes bf16

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (9, 0), (10, 3), but="DeepGEMM has no kernels for it")

    def found(self) -> Found | None:
        """DeepGEMM itself, or the one that vllm carries."""
        alone, vllm = super().found(), find(VLLM)
        carried = vllm and os.path.join(vllm.folder, _VENDORED)
        return alone or (Found(_MODULE, carried, f"of vllm {vllm.version}") if carried and os.path.isdir(carried) else None)

    def load(self, found: Found, device: torch.device) -> None:
        module = importlib.import_module(_MODULE) if find(DEEPGEMM) else _import_from(found.folder)
        if not any(hasattr(module, name) for name in FUNCTIONS):
            raise ImportError(f"it has no function {' or '.join(FUNCTIONS)}: another version or another package")

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return deepgemm_matmul(rows.values, rows.scale, weight.data, weight.scale, bias, out_dtype)


def _import_from(folder: str) -> ModuleType:
    """The package in a folder, imported without the package around it."""
    if _MODULE not in sys.modules:
        spec = importlib.util.spec_from_file_location(_MODULE, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])
        sys.modules[_MODULE] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[_MODULE])
        except BaseException:
            del sys.modules[_MODULE]
            raise
    return sys.modules[_MODULE]


VARIANTS = (DeepGEMM(),)
