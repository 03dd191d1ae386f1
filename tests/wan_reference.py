"""Wan's two encoders written out plainly in Wan's own key names: what a renamed checkpoint must reproduce, sharing nothing with the pack."""

import math

import torch
import torch.nn.functional as F

Tensors = dict[str, torch.Tensor]


def t5(tensors: Tensors, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """umt5's last hidden state [L, width] of token ids [L]; mask [L] is 1 where a token is real."""
    length = ids.shape[0]
    x = tensors["token_embedding.weight"][ids]
    block = 0
    while f"blocks.{block}.norm1.weight" in tensors:
        name = f"blocks.{block}."
        bias = tensors[name + "pos_embedding.embedding.weight"][_buckets(length)].permute(2, 0, 1)
        x = x + _t5_attention(tensors, name + "attn.", _rms(x, tensors[name + "norm1.weight"]), bias, mask)
        h = _rms(x, tensors[name + "norm2.weight"])
        gate = F.gelu(h @ tensors[name + "ffn.gate.0.weight"].t(), approximate="tanh")
        x = x + (gate * (h @ tensors[name + "ffn.fc1.weight"].t())) @ tensors[name + "ffn.fc2.weight"].t()
        block += 1
    return _rms(x, tensors["norm.weight"])


def _rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def _t5_attention(tensors: Tensors, name: str, x: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    heads = bias.shape[0]
    q, k, v = ((x @ tensors[f"{name}{letter}.weight"].t()).unflatten(-1, (heads, -1)).transpose(0, 1) for letter in "qkv")
    logits = (q @ k.transpose(1, 2) + bias).masked_fill(mask == 0, torch.finfo(x.dtype).min)
    return (logits.softmax(-1) @ v).transpose(0, 1).flatten(1) @ tensors[name + "o.weight"].t()


def _buckets(length: int, buckets: int = 32, farthest: int = 128) -> torch.Tensor:
    """T5's relative position buckets [L, L], query by key, both directions."""
    distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    half, exact = buckets // 2, buckets // 4
    far = distance.abs().clamp(min=1)
    logarithmic = exact + (torch.log(far.float() / exact) / math.log(farthest / exact) * (half - exact)).long()
    near = torch.where(far < exact, distance.abs(), logarithmic.clamp(max=half - 1))
    return near + half * (distance > 0)


def clip(tensors: Tensors, pixels: torch.Tensor) -> torch.Tensor:
    """The ViT's hidden states before its last layer, [B, tokens, width], of normalized pixels [B, 3, H, W]."""
    weight = tensors["visual.patch_embedding.weight"]
    x = F.conv2d(pixels, weight, stride=weight.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([tensors["visual.cls_embedding"].expand(x.shape[0], -1, -1), x], dim=1) + tensors["visual.pos_embedding"]
    x = _layer_norm(tensors, "visual.pre_norm", x)
    layers = sum(key.endswith("norm1.weight") for key in tensors)
    for layer in range(layers - 1):
        name = f"visual.transformer.{layer}."
        q, k, v = _linear(tensors, name + "attn.to_qkv", _layer_norm(tensors, name + "norm1", x)).unflatten(-1, (3, -1, 80)).permute(2, 0, 3, 1, 4)
        attended = ((q @ k.transpose(-1, -2) / 80**0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + _linear(tensors, name + "attn.proj", attended)
        h = F.gelu(_linear(tensors, name + "mlp.0", _layer_norm(tensors, name + "norm2", x)))
        x = x + _linear(tensors, name + "mlp.2", h)
    return x


def _linear(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, tensors[name + ".weight"], tensors[name + ".bias"])


def _layer_norm(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], tensors[name + ".weight"], tensors[name + ".bias"], 1e-5)
