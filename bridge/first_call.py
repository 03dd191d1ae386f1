"""Making the first run of a process like all later ones."""

from functools import cache

import comfy.ops
import torch


@cache
def settle_attention(device: torch.device) -> None:
    """Let torch have its first attention call now, on a few zeros.

    ComfyUI asks for the flash backend first, but at the first call of a process torch (2.11) replaces that order by its own, which prefers cuDNN on
    sm_90 and newer (`priority_order_init_` in its sdp_utils.cpp); from the second call on ComfyUI's order holds. So the first block of the first
    image was computed by another kernel than ever after, and its latents differed in the last bits. In fp32, as that is no dtype of cuDNN's, which
    takes its time and memory when it is first used.
    """
    if device.type == "cuda":
        x = torch.zeros(1, 1, 64, 64, device=device, dtype=torch.float32)
        comfy.ops.scaled_dot_product_attention(x, x, x)
