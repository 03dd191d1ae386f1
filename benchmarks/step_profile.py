"""What a step's time is spent on: attention, matrix products, and everything between them."""

import re
from collections import defaultdict
from collections.abc import Callable

ATTENTION, PRODUCTS, BETWEEN, COPIES = "attention", "products", "between", "copies"

PARTS = (
    (COPIES, r"Memcpy (HtoD|DtoH)"),
    (BETWEEN, r"^triton_(poi|red|per)_"),  # inductor's, named for the operators of its neighbours too
    (ATTENTION, r"flash|fmha|sdpa|attention|attn|sage|qk_int"),
    (PRODUCTS, r"gemm|gemv|cutlass|nvjet|xmma|cublas|splitKreduce|(?<!expand_)marlin|multiply_by|triton_tem|implicit_conv|conv\dd|convolution"),
    (PRODUCTS, r"(?<![a-z])(add|b|int_|scaled_)?mm\b"),  # torch's operators
)
"""Part -> pattern of its kernels' names, the first that fits; the rest is between. Copies from and to the host run beside the kernels."""

SHOWN = 40
"""How many kernels are listed, the longest first."""


def part_of(name: str) -> str:
    """The part of a step that a kernel, or on the CPU an operator, belongs to."""
    return next((part for part, pattern in PARTS if re.search(pattern, name, re.IGNORECASE)), BETWEEN)


def profiled(call: Callable[[], object]) -> dict:
    """Seconds of each part of a call, and its kernels, by torch's profiler; on the CPU, of its operators."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    on_gpu = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as seen:
        call()
        if on_gpu:
            torch.cuda.synchronize()
    kernels = []
    for event in seen.key_averages():
        if (event.device_type == torch.autograd.DeviceType.CUDA) == on_gpu:
            time_us = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            kernels.append({"kernel": event.key[:160], "part": part_of(event.key), "calls": event.count, "ms": round(time_us / 1e3, 3)})
    return summary(kernels)


def summary(kernels: list[dict]) -> dict:
    """The sums of the parts in seconds, and the longest kernels."""
    sums: dict[str, float] = defaultdict(float)
    for kernel in kernels:
        sums[kernel["part"]] += kernel["ms"] / 1e3
    parts = {f"{part}_s": round(sums[part], 4) for part in (ATTENTION, PRODUCTS, BETWEEN, COPIES)}
    return parts | {"kernels": sorted(kernels, key=lambda kernel: -kernel["ms"])[:SHOWN]}
