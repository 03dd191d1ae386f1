"""Doubles of the attention packages for machines without their GPUs: each does in fp32 what the package documents, and refuses what it refuses.

They stand for contracts (dtypes, shapes, strides, argument names and orders), not for the kernels' arithmetic: that is checked on a GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from lightquant.kernels.attention import Call
from lightquant.kernels.attention.reference import attention
from lightquant.kernels.checks import once

HALVES = (torch.bfloat16, torch.float16)

_FIRST = "Tensor! q, Tensor k, Tensor v, Tensor? k_new, Tensor? v_new, Tensor? q_v, Tensor(a!)? out, "
_SEQUENCES = (
    "Tensor? cu_seqlens_q, Tensor? cu_seqlens_k, Tensor? cu_seqlens_k_new, Tensor? seqused_q, Tensor? seqused_k, int? max_seqlen_q, "
    "int? max_seqlen_k, Tensor? page_table, Tensor? kv_batch_idx, Tensor? leftpad_k, Tensor? rotary_cos, Tensor? rotary_sin, "
)
_DESCALES = "Tensor? q_descale, Tensor? k_descale, Tensor? v_descale, "
_WINDOW = "float softmax_scale, bool is_causal, int window_size_left, int window_size_right, float softcap, bool is_rotary_interleaved, "
_LAST = "Tensor? scheduler_metadata, int num_splits, bool? pack_gqa, int sm_margin"
_CONTEXT = ", Tensor? s_aux, int cp_world_size, int cp_rank, Tensor? cp_tot_seqused_k"

FLASH3_SCHEMAS = {
    "early": f"fwd({_FIRST}{_SEQUENCES}{_DESCALES}{_WINDOW}{_LAST}) -> Tensor[]",
    "vllm 0.26": f"fwd({_FIRST}{_SEQUENCES}Tensor? seqlens_rotary, {_DESCALES}{_WINDOW}{_LAST}{_CONTEXT}) -> Tensor[]",
    "with o_scale": f"fwd({_FIRST}{_SEQUENCES}Tensor? seqlens_rotary, {_DESCALES}Tensor? o_scale, {_WINDOW}{_LAST}{_CONTEXT}) -> Tensor[]",
    "with a default": f"fwd({_FIRST}{_SEQUENCES}{_DESCALES}{_WINDOW}{_LAST}{_CONTEXT}, bool batch_invariant=False) -> Tensor[]",
}  # fmt: skip
"""vLLM's operator as its sources register it, by version."""

NEW_ARGUMENT = FLASH3_SCHEMAS["early"].replace("int sm_margin", "int sm_margin, int brand_new")
NO_LENGTHS = FLASH3_SCHEMAS["early"].replace("Tensor? cu_seqlens_q, ", "")

_SETTINGS = {
    "is_causal": False, "window_size_left": -1, "window_size_right": -1, "softcap": 0.0, "num_splits": 1, "sm_margin": 0, "cp_world_size": 1,
    "cp_rank": 0, "is_rotary_interleaved": False, "batch_invariant": False,
}  # fmt: skip


def names_of(schema: str) -> list[str]:
    return [part.split("=")[0].split(" ")[-1] for part in schema.split("(", 1)[1].rsplit(")", 1)[0].split(", ")]


def flash3_forward(names: list[str]) -> Callable:
    """vLLM's build: packed sequences only, of a head's width 64, 128 or 256, in 16 bits."""

    def forward(*arguments):
        given = dict(zip(names[: len(arguments)], arguments, strict=True))  # torch leaves out defaults at the end
        q, k, v, scale = (given.pop(name) for name in ("q", "k", "v", "softmax_scale"))
        begins = given.pop("cu_seqlens_q"), given.pop("cu_seqlens_k")
        longest = given.pop("max_seqlen_q"), given.pop("max_seqlen_k")
        left = {name: value for name, value in given.items() if value is not None}
        assert left == {name: value for name, value in _SETTINGS.items() if name in given}
        assert q.ndim == k.ndim == v.ndim == 3
        batch = len(begins[0]) - 1
        assert begins[0].dtype is begins[1].dtype is torch.int32
        for each, begin, most in zip((q, k), begins, longest, strict=True):
            assert begin.is_contiguous()
            assert begin.tolist() == [index * most for index in range(batch + 1)]
            assert each.shape[0] == batch * most
        output = dense_attention(*(each.unflatten(0, (batch, -1)) for each in (q, k, v)), scale)
        return [output.flatten(0, 1), q.new_zeros(q.shape[1], q.shape[0], dtype=torch.float32), q.new_zeros(0), q.new_zeros(0)]

    return forward


def dense_attention(q, k, v, scale: float, widths=(64, 128, 256)) -> torch.Tensor:
    """[B, S, H, D] of each, in 16 bits, the last dimension dense; keys may be shared."""
    assert q.dtype is k.dtype is v.dtype
    assert q.dtype in HALVES
    assert q.shape[3] in widths
    assert all(each.stride(-1) == 1 for each in (q, k, v))
    assert q.shape[2] % k.shape[2] == 0
    assert isinstance(scale, float)
    return attention(Call(q, k, v, scale)).to(q.dtype)


def flash_attn_interface(pair: bool) -> Callable:
    """flash_attn_func of FlashAttention-3's package; older ones return a pair."""

    def flash_attn_func(q, k, v, softmax_scale=None, causal=False, qv=None, window_size=(-1, -1), softcap=0.0, num_splits=1):
        assert not causal
        output = dense_attention(q, k, v, softmax_scale)
        return (output, None) if pair else output

    return flash_attn_func


def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0) -> torch.Tensor:
    assert dropout_p == 0
    assert not causal
    return dense_attention(q, k, v, softmax_scale)


def sageattn(q, k, v, tensor_layout="HND", is_causal=False, sm_scale=None, return_lse=False, **_) -> torch.Tensor:
    """Rounds q and k to int8, a scale a row, and is therefore off by some percent."""
    assert tensor_layout == "NHD"
    assert not is_causal
    q, k = (_rounded(each) for each in (q, k))
    return dense_attention(q, k, v, sm_scale, widths=(64, 128))


def _rounded(each: torch.Tensor) -> torch.Tensor:
    scale = each.float().abs().amax(dim=3, keepdim=True) / 127
    return (torch.round(each.float() / scale) * scale).to(each.dtype)


def int8_attention(q, k, v, *, scale=None, attn_mask=None) -> torch.Tensor:
    """comfy-kitchen's, on [B, H, S, D]."""
    assert all(each.stride(3) == 1 for each in (q, k, v))
    q, k, v = (each.transpose(1, 2) for each in (_rounded(q), _rounded(k), v))
    return attention(Call(q, k, v, scale, attn_mask)).to(q.dtype).transpose(1, 2).contiguous()


@contextmanager
def flash3_operator(schema: str) -> Iterator[None]:
    """vLLM's operator, for as long as this lasts."""
    once.forget()
    library = torch.library.Library("_vllm_fa3_C", "FRAGMENT")
    library.define(schema)
    library.impl("fwd", flash3_forward(names_of(schema)), "CompositeExplicitAutograd")
    try:
        yield
    finally:
        library._destroy()
        once.forget()
