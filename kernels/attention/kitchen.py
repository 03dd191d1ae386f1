"""`int8-kitchen`: comfy-kitchen's `int8_attention`, which rounds q, k, v and the probabilities to 8 bits: approximate.

`int8_attention(q, k, v, scale=, attn_mask=)` on [B, H, S, D], the last dense; masks and shared keys too. In comfy-kitchen 0.2.40, not in 0.2.26.
On an H200 it took 47.0 ms for the self-attention of a 14B block at 832x480x81 with a relative error of 0.017.
"""

import importlib

import torch

from ..contract import Verdict
from ..devices import nvidia
from ..foreign.packages import KITCHEN, Found
from ..operators import operator
from .contract import Call, dense, fake_attention
from .foreign import ForeignAttention


@operator("kitchen_attention(Tensor q, Tensor k, Tensor v, Tensor? mask, float scale) -> Tensor", fake_attention)
def kitchen_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scale: float) -> torch.Tensor:
    """comfy_kitchen.int8_attention."""
    q, k, v = (each.transpose(1, 2) for each in dense(q, k, v))
    return importlib.import_module(KITCHEN.module).int8_attention(q, k, v, scale=scale, attn_mask=mask).transpose(1, 2).contiguous()


class Kitchen(ForeignAttention):
    name, package, variant = "int8-kitchen", KITCHEN, "comfy-kitchen's int8_attention"
    is_exact, takes_mask = False, True

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (7, 5), but="it has no int8 tensor cores")

    def load(self, found: Found, device: torch.device) -> None:
        if not hasattr(importlib.import_module(KITCHEN.module), "int8_attention"):
            raise ImportError("this ComfyUI's comfy-kitchen is older than its int8_attention")

    def attend(self, call: Call) -> torch.Tensor:
        return kitchen_attention(call.q, call.k, call.v, call.mask, call.scale)


VARIANTS = (Kitchen(),)
