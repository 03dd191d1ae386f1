"""Doubles of the kernel packages for machines without their GPUs: each does in fp32 what the package documents, and refuses what it refuses.

They stand for contracts (dtypes, shapes, strides, alignments, argument names), not for the kernels' arithmetic: that is checked on a GPU.
"""

import sys
import types

import torch
from lightquant.formats import INT4_MARLIN, QuantizedWeight

EIGHT_BIT = (torch.float8_e4m3fn, torch.int8)


def scaled_mm(a, b, a_scales, b_scales, out_dtype, bias, in_multiple: int, out_multiple: int) -> torch.Tensor:
    """What the CUTLASS products of vLLM and sgl-kernel have in common."""
    (rows, inner), outputs = a.shape, b.shape[1]
    assert a.dtype in EIGHT_BIT
    assert b.dtype == a.dtype
    assert a.is_contiguous()
    assert b.stride() == (1, inner), "b is column-major"
    assert inner % in_multiple == 0
    assert outputs % out_multiple == 0
    for scale, count in ((a_scales, rows), (b_scales, outputs)):
        assert scale.dtype is torch.float32
        assert scale.is_contiguous()
        assert scale.numel() == count
    assert out_dtype in (torch.bfloat16, torch.float16)
    y = (a.float() @ b.float()) * a_scales.reshape(-1, 1) * b_scales.reshape(1, -1)
    if bias is not None:
        assert bias.dtype == out_dtype
        assert bias.shape == (outputs,)
        assert bias.is_contiguous()
        y = y + bias.float()
    return y.to(out_dtype)


def vllm_scaled_mm(out, a, b, a_scales, b_scales, bias) -> None:
    out.copy_(scaled_mm(a, b, a_scales, b_scales, out.dtype, bias, 16, 16))


def sgl_scaled_mm(a, b, a_scales, b_scales, out_dtype, bias=None) -> torch.Tensor:
    return scaled_mm(a, b, a_scales, b_scales, out_dtype, bias, 16, 8)


VLLM_SCHEMA = "cutlass_scaled_mm(Tensor! out, Tensor a, Tensor b, Tensor a_scales, Tensor b_scales, Tensor? bias) -> ()"
SGL_SCHEMA = "(Tensor mat_a, Tensor mat_b, Tensor scales_a, Tensor scales_b, ScalarType out_dtype, Tensor? bias) -> Tensor"

_SIZES = "SymInt size_m, SymInt size_n, SymInt size_k"
_FLAGS = "bool use_atomic_add, bool use_fp32_reduce, bool is_zp_float"
_NONE = "Tensor? b_zeros_or_none, Tensor? g_idx_or_none, Tensor? perm_or_none"
_SCALED = "Tensor? b_bias_or_none, Tensor b_scales, Tensor? a_scales, Tensor? global_scale"
OLDEST_MARLIN = f"marlin_gemm(Tensor a, Tensor b_q_weight, Tensor b_scales, Tensor! workspace, {_SIZES}) -> Tensor"
"""Beside gptq_marlin_gemm in vllm 0.8.5.post1, gone from 0.11.0: another product."""

MARLIN_SCHEMAS = {
    "vllm 0.8.5": f"gptq_marlin_gemm(Tensor a, Tensor b_q_weight, Tensor b_scales, Tensor b_zeros, Tensor g_idx, Tensor perm, Tensor workspace, "
    f"int b_q_type, {_SIZES}, bool is_k_full, bool has_zp, {_FLAGS}) -> Tensor",
    "vllm 0.11": "gptq_marlin_gemm(Tensor a, Tensor? c_or_none, Tensor b_q_weight, Tensor? b_bias_or_none, Tensor b_scales, Tensor? global_scale, "
    f"{_NONE}, Tensor workspace, int b_q_type, {_SIZES}, bool is_k_full, {_FLAGS}) -> Tensor",
    "vllm 0.14": f"gptq_marlin_gemm(Tensor a, Tensor? c_or_none, Tensor b_q_weight, {_SCALED}, {_NONE}, Tensor workspace, int b_type_id, "
    f"{_SIZES}, bool is_k_full, {_FLAGS}) -> Tensor",
    "vllm 0.26": f"marlin_gemm(Tensor a, Tensor? c_or_none, Tensor b_q_weight, {_SCALED}, {_NONE}, Tensor workspace, int b_type_id, "
    f"{_SIZES}, bool is_k_full, {_FLAGS}) -> Tensor",
    "vllm 0.30": f"marlin_gemm(Tensor a, Tensor? c_or_none, Tensor b_q_weight, {_SCALED}, Tensor? b_zeros_or_none, Tensor workspace, int b_type_id, "
    f"{_SIZES}, {_FLAGS}) -> Tensor",
}
"""The operator by the version of vLLM: of 0.8.5.post1, 0.11.0 and 0.14.0 as their wheels' _C.abi3.so has it, of the others as kernels.md has it."""

SGL_MARLIN = (
    "gptq_marlin_gemm(Tensor! a, Tensor? c_or_none, Tensor! b_q_weight, Tensor! b_scales, Tensor? global_scale_or_none, "
    f"{_NONE}, Tensor! workspace, int b_q_type_id, int size_m, int size_n, int size_k, bool is_k_full, {_FLAGS}) -> Tensor"
)
"""As sgl-kernel 0.3.17.post1 has it."""


def marlin_product(values: torch.Tensor, data: torch.Tensor, scale: torch.Tensor, workspace: torch.Tensor) -> torch.Tensor:
    """fp16 product of fp16 rows and a weight in Marlin's packing; finite or an error, as an overflow would be a wrong answer."""
    assert values.dtype is torch.float16
    assert scale.dtype is torch.float16
    assert workspace.dtype is torch.int32
    assert not workspace.any()
    assert values.is_contiguous()
    weight = INT4_MARLIN.dequantize(QuantizedWeight(data, scale), torch.float32)
    y = (values.float() @ weight.t()).half()
    assert torch.isfinite(y).all()
    return y


def marlin_operator(*arguments, names: list[str]) -> torch.Tensor:
    given = dict(zip(names, arguments, strict=True))
    types_ = {name: given.pop(name) for name in list(given) if name in ("b_type_id", "b_q_type_id", "b_q_type")}
    assert list(types_.values()) == [1125899907892224]
    a, data, scale = given.pop("a"), given.pop("b_q_weight"), given.pop("b_scales")
    assert (given.pop("size_m"), given.pop("size_n"), given.pop("size_k")) == (a.shape[0], scale.shape[1], a.shape[1])
    assert scale.shape[0] * 128 == a.shape[1]
    flags = {name: given.pop(name) for name in list(given) if isinstance(given[name], bool)}
    assert flags.pop("is_k_full", True)
    assert not flags.pop("has_zp", False)
    assert flags == {"use_atomic_add": False, "use_fp32_reduce": True, "is_zp_float": False}
    workspace = given.pop("workspace")
    assert all(rest is None or rest.numel() == 0 for rest in given.values()), given
    return marlin_product(a, data, scale, workspace)


def ist_mul(a, b, c, s, workspace, thread_k=-1, thread_n=-1, sms=-1, max_par=16) -> None:
    assert s.shape[1] % 256 == 0
    assert workspace.numel() >= s.shape[1] // 128 * 16
    assert (thread_k, thread_n, sms) == (-1, -1, -1)
    c.copy_(marlin_product(a, b, s, workspace))


def fp8_gemm_nt(a: tuple, b: tuple, d: torch.Tensor, c=None) -> None:
    """DeepGEMM on sm_90."""
    (x, x_scale), (w, w_scale) = a, b
    (rows, inner), outputs = x.shape, w.shape[0]
    assert x.is_contiguous()
    assert w.is_contiguous()
    assert x.dtype is w.dtype is torch.float8_e4m3fn
    assert x_scale.dtype is w_scale.dtype is torch.float32
    assert x_scale.shape == (rows, inner // 128)
    assert x_scale.stride() == (1, -(-rows // 4) * 4), "column-major, its columns padded to 16 bytes"
    assert w_scale.shape == (-(-outputs // 128), inner // 128)
    assert w_scale.is_contiguous()
    assert c is None
    assert d.dtype is torch.bfloat16
    spread = w_scale.repeat_interleave(128, 0)[:outputs].repeat_interleave(128, 1)
    d.copy_((x.float() * x_scale.repeat_interleave(128, 1)) @ (w.float() * spread).t())


def block_scaled_mm(a, b, scale_a, scale_b, out_dtype) -> torch.Tensor:
    """torch._scaled_mm with a scale for each 128 of a row and each 128 x 128, as cuBLAS takes it on Hopper."""
    (rows, inner), outputs = a.shape, b.shape[1]
    assert rows % 4 == 0
    assert inner % 512 == 0
    assert b.stride() == (1, inner)
    assert scale_a.shape == (rows, inner // 128)
    assert scale_a.stride() == (1, rows)
    assert scale_b.shape == (inner // 128, outputs // 128)
    assert scale_b.stride() == (1, inner // 128)
    spread = scale_b.repeat_interleave(128, 0).repeat_interleave(128, 1)
    return ((a.float() * scale_a.repeat_interleave(128, 1)) @ (b.float() * spread)).to(out_dtype)


def _q8(a, b, bias, scale_a, scale_b, out_dtype) -> torch.Tensor:
    """What q8_kernels' products have in common; a 16-bit dtype other than bf16 is left unwritten by the real one."""
    assert b.shape[0] % 128 == 0
    assert b.shape[1] % 64 == 0
    assert a.is_contiguous()
    assert b.is_contiguous()
    assert scale_a.dtype is scale_b.dtype is torch.float32
    assert scale_a.is_contiguous()
    assert scale_b.is_contiguous()
    assert (scale_a.numel(), scale_b.numel()) == (a.shape[0], b.shape[0])
    assert bias is None or bias.dtype is torch.float32
    y = a.float() @ b.float().t() * scale_a.reshape(-1, 1) * scale_b.reshape(1, -1)
    y = y if bias is None else y + bias
    return y.to(out_dtype) if out_dtype is torch.bfloat16 else torch.full_like(y, float("nan"), dtype=out_dtype)


def konakona_fp8_linear(a, b, bias=None, scale_a=None, scale_b=None, use_hadamard=False, out_dtype=None) -> torch.Tensor:
    assert a.dtype is b.dtype is torch.float8_e4m3fn
    assert not use_hadamard
    return _q8(a, b, bias, scale_a, scale_b, out_dtype)


def konakona_q8_linear(a, b, bias=None, scale_a=None, scale_b=None, fuse_gelu=False, out_dtype=None) -> torch.Tensor:
    assert a.dtype is b.dtype is torch.int8
    assert not fuse_gelu
    return _q8(a, b, bias, scale_a, scale_b, out_dtype)


def lightricks_q8_linear(
    a, b, bias=None, scale_a=None, scale_b=None, fuse_gelu=False, use_hadamard=True, out_dtype=None, b_transposed=None, b_transposed_scales=None
) -> torch.Tensor:  # fmt: skip
    assert b_transposed is None
    return konakona_q8_linear(a, b, bias, scale_a, scale_b, fuse_gelu, out_dtype)


def module(monkeypatch, name: str, **functions) -> None:
    """A module of this name, its parents too, for one test."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:length]), types.ModuleType(".".join(parts[:length])))
    last = types.ModuleType(name)
    last.__dict__.update(functions)
    monkeypatch.setitem(sys.modules, name, last)
