"""A Wan block computed on ComfyUI's own modules: each activation quantized once, the steps between the products as somebody else has them."""

from dataclasses import dataclass

import torch

from ..bridge import wan_block
from ..kernels import Activation
from .steps import After, Steps


@dataclass(frozen=True)
class Inputs:
    """What a block is called with: x [B, L, C]; e, the time embedding; freqs of the rotary embedding; the context [B, T, C].

    image_tokens: how many of the context's first ones are of an image; None: there is no image.
    """

    x: torch.Tensor
    e: torch.Tensor
    freqs: torch.Tensor
    context: torch.Tensor
    image_tokens: int | None
    transformer_options: dict


def output_of(block: torch.nn.Module, given: Inputs, steps: Steps) -> torch.Tensor:
    """The output [B, L, C] of a block that wan_block.is_own."""
    x = given.x.contiguous()
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = wan_block.modulation(block, x, given.e)
    own, heads = block.self_attn, block.num_heads

    y = steps.normed(x, After(block.norm1, shift, scale))
    q = steps.rotated(own.norm_q, own.q.multiply(y), heads, given.freqs)
    k = steps.rotated(own.norm_k, own.k.multiply(y), heads, given.freqs)
    v = own.v.multiply(y)
    del y  # with its codes, which the attention would have beside it
    y = wan_block.attention(q, k, v, heads, given.transformer_options)
    del q, k, v

    summed = steps.sum(x, own.o(y), gate, After(block.norm3))
    del x
    y = _cross_attention(block, summed.activation, given)
    summed = steps.sum(summed.total(), y, None, After(block.norm2, ffn_shift, ffn_scale))
    del y  # the FFN needs most memory of all
    y = _ffn(block.ffn, summed.activation, steps)
    return steps.gated(summed.total(), y, ffn_gate)


def _cross_attention(block: torch.nn.Module, activation: Activation, given: Inputs) -> torch.Tensor:
    across, options = block.cross_attn, given.transformer_options
    q = across.norm_q(across.q.multiply(activation))
    if not wan_block.has_images(block):
        return across.o(_attended(q, across.k, across.v, across.norm_k, given.context, block.num_heads, options))
    # Where there is no image, the block's own forward takes all of the context for both.
    images, text = given.context[:, : given.image_tokens], given.context[:, given.image_tokens :]
    of_images = _attended(q, across.k_img, across.v_img, across.norm_k_img, images, block.num_heads, options)
    return across.o(_attended(q, across.k, across.v, across.norm_k, text, block.num_heads, options) + of_images)


def _attended(q, key_layer, value_layer, key_norm, context: torch.Tensor, heads: int, options: dict) -> torch.Tensor:
    context = Activation.of(context)
    return wan_block.attention(q, key_norm(key_layer.multiply(context)), value_layer.multiply(context), heads, options)


def _ffn(ffn: torch.nn.Module, activation: Activation, steps: Steps) -> torch.Tensor:
    if wan_block.is_changed(ffn):  # computed in chunks of rows, say
        return ffn(activation.floats())
    x = ffn[0].multiply(activation)
    activation.give_up()
    return ffn[2].multiply(steps.gelu(x))
