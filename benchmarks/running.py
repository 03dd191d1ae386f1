"""The kernels that run on this machine, by the label that results call them."""

import torch
from lightquant.kernels import Kernel, variants
from lightquant.reports.kernels import check_all
from lightquant.schemes import SCHEMES


def running(device: torch.device) -> tuple[dict[str, Kernel], dict[str, str]]:
    """Label -> kernel, and scheme -> why none of its kernels runs. A scheme's best variant has its name, the next is `NAME (2)`."""
    check_all(device)  # in one process for all, where each would ask for its own
    found: dict[str, Kernel] = {}
    missing = {}
    for scheme in SCHEMES:
        reasons, count = [], 0
        for kernel in variants(scheme):
            supported, reason = kernel.is_supported(device)
            if supported:
                count += 1
                found[scheme if count == 1 else f"{scheme} ({count})"] = kernel
            else:
                reasons.append(reason)
        if not count:
            missing[scheme] = "; ".join(dict.fromkeys(reasons))
    return found, missing


def is_best(label: str) -> bool:
    """Whether a label is that of the variant which runs under the scheme's name."""
    return "(" not in label


def poison(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Leave NaN in the memory that torch gives out next for such a tensor, so that what a kernel does not write shows."""
    torch.full(shape, float("nan"), dtype=dtype, device=device)
