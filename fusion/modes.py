"""How a model's blocks can be computed, and which way `auto` takes."""

import torch

AUTO, FUSE, SHARE, PLAIN = "auto", "fuse", "share", "plain"
MODES = (AUTO, FUSE, SHARE, PLAIN)
"""auto; the steps between the products in one pass each; each activation quantized once, which changes no bit; ComfyUI's own blocks."""

_NO_TRITON = "Triton can't be used, without which fusing is slower; the log says why"

PAYS: dict[tuple[int, int], str] = {}
"""GPUs on which whole steps were measured to be faster fused, by capability, and the measurement. None has been measured yet."""


def chosen(mode: str, device: torch.device) -> tuple[str, str]:
    """The mode itself for a device, and why."""
    from ..kernels.fused_rows import triton_fused  # the node needs the names alone when ComfyUI starts

    if mode == FUSE and device.type == "cuda" and triton_fused(device) is None:
        return SHARE, _NO_TRITON
    if mode != AUTO:
        return mode, ""
    if device.type != "cuda":
        return PLAIN, "auto: fusing is for NVIDIA GPUs"
    measured = PAYS.get(torch.cuda.get_device_capability(device))
    if measured is None:
        return PLAIN, "auto: fusing has not been measured on this GPU"
    return (PLAIN, f"auto: {_NO_TRITON}") if triton_fused(device) is None else (FUSE, f"auto: {measured}")
