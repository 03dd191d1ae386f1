"""The activation quantizers of other packages beside the pack's own, where their operators are loaded."""

from collections.abc import Callable
from functools import partial

import torch
from lightquant.kernels.foreign.libraries import has_operator
from lightquant.kernels.quantize_rows import quantize_rows
from linear_summary import OURS, VLLM

Quantizer = Callable[[torch.Tensor], object]

DTYPES = {"fp8": torch.float8_e4m3fn, "int8": torch.int8}


def _allocated(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty_like(x, dtype=dtype), x.new_empty((x.shape[0], 1), dtype=torch.float32)


def _vllm_fp8(x: torch.Tensor) -> object:
    codes, scale = _allocated(x, DTYPES["fp8"])
    return torch.ops._C.dynamic_per_token_scaled_fp8_quant(codes, x, scale, None)


def _vllm_int8(x: torch.Tensor) -> object:
    codes, scale = _allocated(x, DTYPES["int8"])
    return torch.ops._C.dynamic_scaled_int8_quant(codes, x, scale, None)


def _sgl_fp8(x: torch.Tensor) -> object:
    codes, scale = _allocated(x, DTYPES["fp8"])
    return torch.ops.sgl_kernel.sgl_per_token_quant_fp8(x, codes, scale)


_OTHERS: dict[tuple[str, str], tuple[str, Quantizer]] = {
    ("fp8", VLLM): ("_C::dynamic_per_token_scaled_fp8_quant", _vllm_fp8),
    ("int8", VLLM): ("_C::dynamic_scaled_int8_quant", _vllm_int8),
    ("fp8", "sgl-kernel"): ("sgl_kernel::sgl_per_token_quant_fp8", _sgl_fp8),
}
"""(dtype, whose) -> the operator it needs, and itself."""


def quantizers() -> dict[tuple[str, str], Quantizer]:
    """(dtype, whose) -> what quantizes bf16 rows by token, outputs allocated in the call, as a kernel does it."""
    ours = {(name, OURS): partial(quantize_rows, dtype=dtype) for name, dtype in DTYPES.items()}
    return ours | {key: quantizer for key, (operator, quantizer) in _OTHERS.items() if has_operator(operator)}
