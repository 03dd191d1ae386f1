"""Which kernels there are, which of them run on a device, and why the others don't."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..errors import KernelError
from ..formats import QuantizedWeight
from ..schemes import AUTO, SCHEMES, schemes_of
from . import (
    deepgemm,
    kitchen,
    marlin,
    q8f,
    sgl,
    torch_fp8,
    torch_fp8_block,
    torch_int4,
    torch_int8,
    torchao,
    triton_fp8,
    triton_int4_kernels,
    triton_int8,
    vllm,
)
from .contract import Kernel, Verdict
from .order import last_resort, order_of

VARIANTS: dict[str, Sequence[Kernel]] = {
    "fp8-vllm": (vllm.FP8(),), "int8-vllm": (vllm.INT8(),), "fp8-sgl": (sgl.FP8(),), "int8-sgl": (sgl.INT8(),),
    "fp8-q8f": (q8f.FP8(),), "int8-q8f": (q8f.INT8(),), "int8-torchao": (torchao.TorchAO(),),
    "int4-g128-marlin": marlin.VARIANTS, "fp8-b128-deepgemm": deepgemm.VARIANTS,
    "fp8-torch": torch_fp8.VARIANTS, "int8-torch": torch_int8.VARIANTS, "fp8-b128-torch": torch_fp8_block.VARIANTS,
    "int4-g128-torch": torch_int4.VARIANTS, "int8-kitchen": kitchen.VARIANTS, "fp8-triton": triton_fp8.VARIANTS,
    "int8-triton": triton_int8.VARIANTS, "int4-g128-triton": triton_int4_kernels.VARIANTS, "int4-g128-a8-triton": triton_int4_kernels.A8_VARIANTS,
}  # fmt: skip
"""The kernels of every scheme: variants, best first."""


class Selection(NamedTuple):
    """The kernel a model's layers use, and why.

    kernel: the variant chosen; fallback: the one of the same format that takes the shapes the first can't.
    """

    kernel: Kernel
    fallback: Kernel
    why: str

    def linear(self, x: torch.Tensor, weight: QuantizedWeight, bias: torch.Tensor | None) -> torch.Tensor:
        """y = x @ W.T + b for x [..., K] by whichever of the two takes the shape; y has x's dtype and leading shape."""
        return self.for_rows(x.numel() // max(1, x.shape[-1]), weight, x.dtype).linear(x, weight, bias)

    def for_rows(self, rows: int, weight: QuantizedWeight, dtype: torch.dtype) -> Kernel:
        """Whichever of the two multiplies so many rows of a dtype with the weight."""
        return self.kernel if rows > 0 and self.kernel.takes(rows, weight, dtype)[0] else self.fallback


def variants(scheme: str) -> Sequence[Kernel]:
    """The kernels behind a scheme, best first."""
    return VARIANTS[scheme]


def best_variant(scheme: str, device: torch.device) -> tuple[Kernel | None, str]:
    """The first variant of the scheme's kernel that runs on the device, with its reason; or None with the reasons of all."""
    reasons = []
    for kernel in variants(scheme):
        supported, reason = kernel.is_supported(device)
        if supported:
            return kernel, "; ".join(dict.fromkeys([reason, *reasons]))
        reasons.append(reason)
    return None, "; ".join(dict.fromkeys(reasons))


def report(device: torch.device) -> dict[str, Verdict]:
    """For every scheme, whether its kernel runs on the device and why."""
    found = {scheme: best_variant(scheme, device) for scheme in SCHEMES}
    return {scheme: (kernel is not None, reason) for scheme, (kernel, reason) in found.items()}


def _passed_over(order: Sequence[str], taken: str, basis: str) -> str:
    """What `auto` says of the order it followed; `lightquant doctor` has the reasons of each."""
    if len(order) == 1:
        return ""
    faster = order[: order.index(taken)]
    return f"; first in the order of speed, {basis}" if not faster else f"; faster ones can't run here: {', '.join(faster)} ({basis})"


def select(scheme: str, format_name: str, device: torch.device, may_substitute: bool = True) -> Selection:
    """The kernel for weights of a format on a device.

    scheme: a name from the table whose format is format_name, or `auto`.
    may_substitute: whether another kernel of the same format may stand in for one that can't run here.
    Raises KernelError, which says why the scheme can't run and which ones can.
    """
    fallback, order = variants(last_resort(format_name))[-1], order_of(format_name, device)
    wanted = order.schemes if scheme == AUTO else (scheme,)
    reasons = []
    for name in wanted:
        kernel, reason = best_variant(name, device)
        if kernel is not None:
            return Selection(kernel, fallback, reason if scheme != AUTO else f"auto: {reason}{_passed_over(wanted, name, order.basis)}")
        reasons.append(f"{name} can't run here: {reason}")
    if scheme == AUTO:
        raise KernelError(f"No kernel for {format_name} runs on {device}: {'; '.join(reasons)}. Load a file of another format.")
    if not may_substitute:
        able = [name for name in schemes_of(format_name) if best_variant(name, device)[0] is not None]
        raise KernelError(
            f"{'; '.join(reasons)}. Schemes that read {format_name} and run on this machine: {', '.join(able)}. "
            'Pick one of them, or set "missing_kernel" to "substitute" to let LightQuant take one.'
        )
    substitute = select(AUTO, format_name, device)
    return substitute._replace(why=f"{'; '.join(reasons)}; {substitute.kernel.name} stands in for it ({substitute.why})")
