"""The arguments that ComfyUI's attention functions are called with, read as the attention they ask for."""

from typing import NamedTuple

import torch

from ..kernels.attention import Call

READ_BY_COMFYUI = ("transformer_options", "_inside_attn_wrapper")
"""Said to every attention function, without an effect on what it computes."""

UNDERSTOOD = ("scale", "enable_gqa", "low_precision_attention", *READ_BY_COMFYUI)
"""The arguments beyond those with a place of their own. One more may mean anything, and is left to ComfyUI's own function."""


class Asked(NamedTuple):
    """One call as a kernel takes it, or why none does.

    refused: "" where `call` is there. needs_precision: whether the caller allows no kernel that quantizes. heads_apart: whether the output
    is to be [B, H, S, D], and not [B, S, H * D].
    """

    call: Call | None
    refused: str = ""
    needs_precision: bool = False
    heads_apart: bool = False

    def shaped(self, output: torch.Tensor) -> torch.Tensor:
        """A kernel's output [B, S, H, D] as the caller wants it."""
        return output.transpose(1, 2) if self.heads_apart else output.flatten(2)


def read(
    q=None, k=None, v=None, heads=None, mask=None, attn_precision=None, skip_reshape=False, skip_output_reshape=False, **more
) -> Asked:  # fmt: skip
    """What a call of an attention function asks for; its parameters are those of `attention_pytorch` in ComfyUI 0.16 to 0.30.

    q, k, v: [B, S, H * D], or with skip_reshape [B, H, S, D]. enable_gqa: k and v may have fewer heads. mask: [S, T], [B, S, T] or [B, H, S, T].
    """
    refused = _unread(q, k, v, heads, mask, attn_precision, more)
    if refused:
        return Asked(None, refused)
    parts = [_heads_third(each, skip_reshape, q, heads, more.get("enable_gqa", False)) for each in (q, k, v)]
    if any(part is None for part in parts) or not _fit(*parts, heads, more.get("enable_gqa", False)):
        return Asked(None, "shapes that do not fit each other")
    q, k, v = parts
    mask = mask if mask is None or mask.ndim == 4 else mask[None, None] if mask.ndim == 2 else mask[:, None]
    if mask is not None and not _spreads(mask, (q.shape[0], heads, q.shape[1], k.shape[1])):
        return Asked(None, "a mask of another shape")
    scale = more.get("scale")
    call = Call(q, k, v, q.shape[3] ** -0.5 if scale is None else scale, mask)
    return Asked(call, "", more.get("low_precision_attention", True) is False, skip_output_reshape)


def _unread(q, k, v, heads, mask, attn_precision, more: dict) -> str:
    """Why the arguments can't be read as an attention that a kernel may compute, "" if they can."""
    if q is None or k is None or v is None or heads is None:
        return "arguments by other names"
    if any(name not in UNDERSTOOD for name in more):
        return "an argument that LightQuant does not know"
    if q.dtype != k.dtype or q.dtype != v.dtype:
        return "operands of several dtypes"
    if attn_precision is not None and attn_precision != q.dtype:
        return "a precision that was asked for"
    if not isinstance(more.get("scale"), int | float | None):
        return "a scale that is no number"
    if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
        return "a gradient"
    if mask is not None:
        if mask.ndim not in (2, 3, 4) or mask.dtype not in (torch.bool, q.dtype):
            return "a mask of another kind"
        if mask.ndim == 2 and mask.dtype is torch.bool:
            return "a mask that ComfyUI's functions read in different ways"
    return ""


def _heads_third(each: torch.Tensor, skip_reshape: bool, q: torch.Tensor, heads: int, enable_gqa: bool) -> torch.Tensor | None:
    """[B, S, H, D] as a view; None where the shape is none of those."""
    if skip_reshape:
        return each.transpose(1, 2) if each.ndim == 4 else None
    if each.ndim != 3 or q.ndim != 3 or q.shape[2] % heads:
        return None
    width = q.shape[2] // heads
    count = each.shape[2] // width if enable_gqa else heads
    return each.unflatten(2, (count, width)) if each.shape[2] == count * width else None


def _fit(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, enable_gqa: bool) -> bool:
    """Whether there is something to compute, and one attention that the shapes stand for."""
    (batch, queries, count, width), shared = q.shape, k.shape[2]
    if count != heads or k.shape != v.shape or k.shape[0] != batch or k.shape[3] != width or not queries or not k.shape[1]:
        return False
    return count == shared if not enable_gqa else shared > 0 and count % shared == 0


def _spreads(mask: torch.Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a mask broadcasts to a shape."""
    return all(size in (1, wanted) for size, wanted in zip(mask.shape, shape, strict=True))
