"""`flash-attention-2`: the package `flash_attn`, `flash_attn_func(q, k, v, dropout_p=, softmax_scale=, causal=)` on [B, S, H, D]; 2.0 to 2.8."""

import importlib

import torch

from ..contract import Verdict
from ..devices import nvidia
from ..foreign.packages import Found, Package
from ..operators import operator
from .contract import LAYOUT, Call, dense, fake_attention
from .foreign import ForeignAttention

FLASH2 = Package(
    "flash-attn", ("flash-attn",), "flash_attn", {},
    "take the wheel for this torch and Python from github.com/Dao-AILab/flash-attention/releases, or "
    "pip install --no-deps --no-build-isolation flash-attn, which compiles it",
)  # fmt: skip


@operator("flash2" + LAYOUT, fake_attention)
def flash2(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """flash_attn.flash_attn_func."""
    function = importlib.import_module(FLASH2.module).flash_attn_func
    return function(*dense(q, k, v), dropout_p=0.0, softmax_scale=scale, causal=False).contiguous()


class Flash2(ForeignAttention):
    name, package, variant = "flash-attention-2", FLASH2, "FlashAttention-2 by flash_attn"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 0), but="FlashAttention-2 needs asynchronous copies")

    def load(self, found: Found, device: torch.device) -> None:
        if not hasattr(importlib.import_module(FLASH2.module), "flash_attn_func"):
            raise ImportError("it has no function flash_attn_func: FlashAttention-4 alone uses the same folder")

    def attend(self, call: Call) -> torch.Tensor:
        return flash2(*call[:4])


VARIANTS = (Flash2(),)
