"""What a Wan block of ComfyUI's is made of, for whoever computes it in another way than its own forward."""

import comfy.ldm.wan.model as wan
import comfy.model_management
import comfy.ops
import torch

_CROSS_ATTENTIONS = (wan.WanT2VCrossAttention, wan.WanI2VCrossAttention)
_LINEARS = (*(f"{part}.{letter}" for part in ("self_attn", "cross_attn") for letter in "qkvo"), "ffn.0", "ffn.2")
_OF_IMAGES = ("cross_attn.k_img", "cross_attn.v_img")
_RMS_NORMS = ("self_attn.norm_q", "self_attn.norm_k", "cross_attn.norm_q", "cross_attn.norm_k")
_LAYER_NORMS = ("norm1", "norm2", "norm3")
_AROUND = ("", "self_attn", "cross_attn")

PATCHES = ("attn1_patch", "attn2_patch")
"""What other nodes have a block call between its steps, by their names in transformer_options."""


def is_known(block: torch.nn.Module) -> bool:
    """Whether a block is made as ComfyUI's plain one of a quantized model."""
    if type(block) is not wan.WanAttentionBlock or type(block.self_attn) is not wan.WanSelfAttention:
        return False
    if type(block.cross_attn) not in _CROSS_ATTENTIONS or len(block.ffn) != 3 or getattr(block.ffn[1], "approximate", None) != "tanh":
        return False
    linears, rms_norms, layer_norms = ([block.get_submodule(name) for name in names] for names in _parts(block))
    return (
        all(hasattr(linear, "multiply") for linear in linears)
        and all(isinstance(norm, torch.nn.RMSNorm) for norm in rms_norms)
        and all(isinstance(norm, torch.nn.LayerNorm) for norm in layer_norms)
    )


def is_own(block: torch.nn.Module) -> bool:
    """Whether it is_known, with nobody's hooks or patches on a part of it; its FFN as a whole may have one."""
    if not is_known(block):
        return False
    names = (*_AROUND, "ffn.1", *(name for names in _parts(block) for name in names))
    return not any(is_changed(block.get_submodule(name)) for name in names)


def _parts(block: torch.nn.Module) -> tuple[tuple[str, ...], ...]:
    """The names of its linears, its RMS norms and its layer norms."""
    return (*_LINEARS, *(_OF_IMAGES if has_images(block) else ())), _RMS_NORMS, _LAYER_NORMS


def has_images(block: torch.nn.Module) -> bool:
    """Whether its cross-attention has keys and values of an image too."""
    return type(block.cross_attn) is wan.WanI2VCrossAttention


def is_changed(module: torch.nn.Module) -> bool:
    """Whether somebody has put another forward in the module's place, or hooks around it."""
    return "forward" in module.__dict__ or bool(module._forward_hooks) or bool(module._forward_pre_hooks)


def modulation(block: torch.nn.Module, x: torch.Tensor, e: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The block's six: shift, scale and gate of the self-attention and of the FFN, each [B, sets, C]. e: [B, 6, C] or [B, sets, 6, C]."""
    own = comfy.model_management.cast_to(block.modulation, dtype=x.dtype, device=x.device)
    return (own.unsqueeze(1) + (e if e.ndim == 4 else e.unsqueeze(1))).unbind(2)


def weights_of(norm: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Copies of a norm's weight and bias in x's dtype, on x's device, with what is patched onto them; None where it has none.

    Copies, as ComfyUI may put the next module's weights where it lent these.
    """
    if getattr(norm, "weight", None) is None:
        return None, None
    weight, bias, stream = comfy.ops.cast_bias_weight(norm, x, offloadable=True)
    copies = weight.clone(), None if bias is None else bias.clone()
    comfy.ops.uncast_bias_weight(norm, weight, bias, stream)
    return copies


def rotated(heads: torch.Tensor, freqs: torch.Tensor) -> torch.Tensor:
    """ComfyUI's rotary embedding of [B, L, heads, D]."""
    return wan.apply_rope1(heads, freqs)


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, transformer_options: dict) -> torch.Tensor:
    """ComfyUI's attention of [B, L, C], with its hooks, by the name that Wan's own code has for it."""
    return wan.optimized_attention(q, k, v, heads=heads, transformer_options=transformer_options)


def repeated(sets: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Of [B, sets, C], one for each of x's [B, L, C], as the block repeats them; one set stays one."""
    count, rows = sets.shape[1], x.shape[1]
    if count in (1, rows):
        return sets
    return torch.repeat_interleave(sets, -(-rows // count), dim=1)[:, :rows]
