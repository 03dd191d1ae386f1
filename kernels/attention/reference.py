"""The oracle of every attention kernel: plain fp32 arithmetic."""

import torch

from .contract import Call


def attention(call: Call) -> torch.Tensor:
    """The attention [B, S, H, D] in fp32, by matrix products of all of it; S x T numbers a head exist at once."""
    q, k, v = (each.float().transpose(1, 2) for each in call[:3])
    k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], dim=1) for each in (k, v))
    scores = q @ k.transpose(2, 3) * call.scale
    if call.mask is not None:
        scores = scores.masked_fill(~call.mask, -torch.inf) if call.mask.dtype is torch.bool else scores + call.mask.float()
    return (scores.softmax(dim=-1) @ v).transpose(1, 2)
