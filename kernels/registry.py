"""Which kernels there are, which of them run on a device, and why the others don't."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from ..errors import KernelError
from ..formats import FORMATS, QuantizedWeight
from ..schemes import AUTO, SCHEMES, called, schemes_of
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
    triton_int4,
    triton_int8,
    vllm,
)
from .activation import Activation
from .checks import in_child
from .checks.finding import Finding
from .contract import Kernel, Verdict
from .expand import Expanded
from .foreign.kernel import ForeignKernel
from .order import Order, last_resort, order_of

log = logging.getLogger(__name__)

_FILES = (
    vllm, sgl, q8f, torchao, marlin, deepgemm, torch_fp8, torch_int8, torch_fp8_block, torch_int4, kitchen, triton_fp8, triton_int8, triton_int4,
)  # fmt: skip

VARIANTS: dict[str, Sequence[Kernel]] = {
    scheme: tuple(kernel for file in _FILES for kernel in file.VARIANTS if kernel.name == scheme) for scheme in SCHEMES
}
"""The kernels of every scheme: variants, best first."""


class Asked(NamedTuple):
    """What a selection was asked for: the arguments of `select` that matter on another device too, and the device as a tensor there has it."""

    scheme: str
    format: str
    device: torch.device
    preferred: tuple[str, ...]


class Selection(NamedTuple):
    """The kernel a model's layers use, and why.

    kernel: the variant chosen; fallback: the one of the same format that takes the shapes the first can't.
    asked: what for; None where somebody has put the kernel in by hand, for whatever device.
    """

    kernel: Kernel
    fallback: Kernel
    why: str
    asked: Asked | None = None

    def linear(self, x: torch.Tensor, weight: QuantizedWeight, bias: torch.Tensor | None) -> torch.Tensor:
        """y = x @ W.T + b for x [..., K] by whichever of the two takes the shape; y has x's dtype and leading shape."""
        return self.multiply(Activation.of(x), weight, bias)

    def multiply(self, activation: Activation, weight: QuantizedWeight, bias: torch.Tensor | None) -> torch.Tensor:
        """The same of an activation that other layers multiply too."""
        like = activation.like
        kernel = self.for_rows(like.numel() // max(1, like.shape[-1]), weight, like.dtype)
        y = kernel.matmul(activation.rows(kernel.coding), weight, bias, like.dtype)
        return y.reshape(*like.shape[:-1], y.shape[-1])

    def for_rows(self, rows: int, weight: QuantizedWeight, dtype: torch.dtype) -> Kernel:
        """Whichever of the two multiplies so many rows of a dtype with the weight; on another device, whichever of those selected for that."""
        there = weight.data.device
        kernel = self.kernel
        if self.asked is not None and self.asked.device != there:
            scheme, variant = _elsewhere(self.asked, there)
            kernel = VARIANTS[scheme][variant]
        return kernel if rows > 0 and kernel.takes(rows, weight, dtype)[0] else self.fallback


Selections = Mapping[str, Selection]
"""Format -> the kernel for the layers of a model that are stored so. Empty where none is quantized."""


def check_all(device: torch.device) -> dict[str, Finding]:
    """What the checks of all kernels of other packages find that may run here, by address; one process for what isn't remembered."""
    checkable = _checkable(device)
    return in_child.findings(checkable, device) if checkable else {}


def known_findings(device: torch.device) -> dict[str, Finding]:
    """What is remembered of the same; nothing runs for it."""
    return in_child.recalled(_checkable(device), device)


def _checkable(device: torch.device) -> list[in_child.Checked]:
    kernels = {kernel.address: kernel for kernels in VARIANTS.values() for kernel in kernels if isinstance(kernel, ForeignKernel)}
    wanted = [(address, kernel.found()) for address, kernel in kernels.items() if kernel.runs_on(device)[0]]
    return [(address, found.described) for address, found in wanted if found]


def best_variant(scheme: str, device: torch.device, checking: bool = True) -> tuple[Kernel | None, str]:
    """The first variant of the scheme's kernel that runs on the device, with its reason; or None with the reasons of all. checking: as for select."""
    reasons = []
    for kernel in VARIANTS[scheme]:
        supported, reason = kernel.is_supported(device) if checking else kernel.foreseen(device)
        if supported is not False:
            return kernel, "; ".join(dict.fromkeys([reason, *reasons]))
        reasons.append(reason)
    return None, "; ".join(dict.fromkeys(reasons))


def _in_turn(schemes: Iterable[str], device: torch.device, checking: bool = True) -> Iterator[tuple[str, Kernel | None, str]]:
    """The best variant of each; once one of another package is among them, all such kernels are checked, in one process."""
    checked = not checking
    for name in schemes:
        if not checked and any(isinstance(kernel, ForeignKernel) for kernel in VARIANTS[name]):
            check_all(device)
            checked = True
        yield name, *best_variant(name, device, checking)


def report(device: torch.device) -> dict[str, Verdict]:
    """For every scheme, whether its kernel runs on the device and why."""
    return {scheme: (kernel is not None, reason) for scheme, kernel, reason in _in_turn(SCHEMES, device)}


_ELSEWHERE: dict[tuple[Asked, torch.device], tuple[str, int]] = {}


def _elsewhere(asked: Asked, device: torch.device) -> tuple[str, int]:
    """The kernel for the same on a device that it was not asked for, where ComfyUI's Select Device and multi-GPU nodes have put the model.

    It is named by its place in VARIANTS, as torch.compile takes no object for a constant.
    """
    if (asked, device) not in _ELSEWHERE:
        kernel, _, why, _ = select(asked.scheme, asked.format, device, preferred=asked.preferred)
        log.info("LightQuant: %s weights loaded for %s are on %s, where %s multiplies them: %s", asked.format, asked.device, device, kernel.name, why)
        _ELSEWHERE[asked, device] = kernel.name, VARIANTS[kernel.name].index(kernel)
    return _ELSEWHERE[asked, device]


# What torch.compiler.assume_constant_result sets, without the second that importing torch._dynamo takes: a graph is of one device.
_elsewhere._dynamo_marked_constant = True


def select(
    scheme: str, format_name: str, device: torch.device, may_substitute: bool = True, preferred: Sequence[str] = (), checking: bool = True
) -> Selection:
    """The kernel for weights of a format on a device.

    scheme: a name from the table whose format is format_name, or `auto`.
    may_substitute: whether another kernel of the same format may stand in for one that can't run here.
    preferred: what schemes.called knows, which `auto` and whatever stands in try before the fastest.
    checking: whether checks that were never made are made now; else a kernel that only they can tell about is taken, and its reason says so.
    Raises KernelError, which says why the scheme can't run and which ones can.
    """
    asked = Asked(scheme, format_name, _as_of_tensors(device), tuple(preferred))
    if scheme == AUTO:
        return _automatic(format_name, device, preferred, checking)._replace(asked=asked)
    ((_, kernel, reason),) = _in_turn((scheme,), device, checking)
    if kernel is not None:
        return Selection(kernel, _fallback(format_name), reason, asked)
    if not may_substitute:
        able = [name for name, kernel, _ in _in_turn(schemes_of(format_name), device, checking) if kernel is not None]
        if not able:
            raise KernelError(
                f"{scheme} can't run here: {reason}. No other scheme that reads {format_name} runs on this machine either. "
                f"{_other_formats(format_name, device, checking)}"
            )
        raise KernelError(
            f"{scheme} can't run here: {reason}. Schemes that read {format_name} and run on this machine: {', '.join(able)}. "
            'Pick one of them, or set "missing_kernel" to "substitute" to let LightQuant take one.'
        )
    substitute = _automatic(format_name, device, preferred, checking)
    return substitute._replace(why=f"{scheme} can't run here: {reason}; {substitute.kernel.name} stands in for it ({substitute.why})", asked=asked)


def _as_of_tensors(device: torch.device) -> torch.device:
    """A device as tensors on it name it: `mps` is `mps:0` there, and `cpu` stays."""
    return device if device.index is not None or device.type in ("cpu", "meta") else torch.device(device.type, 0)


def _automatic(format_name: str, device: torch.device, preferred: Sequence[str], checking: bool) -> Selection:
    """The first of the preferred ones that runs here, however it does, else the fastest."""
    unable = []
    for name, kernel, reason in _in_turn(called(preferred, format_name), device, checking):
        if kernel is not None:
            return Selection(kernel, _fallback(format_name), f"auto: {reason}; preferred in the settings{_not_here(unable)}")
        unable.append(name)
    fastest = _fastest(format_name, device, checking)
    return fastest._replace(why=f"{fastest.why}; preferred in the settings, but can't run here: {', '.join(unable)}") if unable else fastest


def _not_here(unable: Sequence[str]) -> str:
    return f", where {', '.join(unable)} can't run" if unable else ""


def _fastest(format_name: str, device: torch.device, checking: bool) -> Selection:
    """The first of the order that multiplies here; what expands the weight instead is passed over until nothing else is left."""
    order, refused = order_of(format_name, device), {}
    for place, (name, kernel, reason) in enumerate(_in_turn(order.schemes, device, checking), 1):
        if kernel is not None and (place == len(order.schemes) or not isinstance(kernel, Expanded)):
            faster = [other for other in refused if other != name]
            return Selection(kernel, _fallback(format_name), "; ".join(filter(None, (f"auto: {reason}", _passed_over(order, faster)))))
        refused[name] = f"{name} can't run here: {reason}"
    raise KernelError(f"No kernel for {format_name} runs on {device}: {'; '.join(refused.values())}. {_other_formats(format_name, device, checking)}")


def _other_formats(format_name: str, device: torch.device, checking: bool) -> str:
    """What to load where nothing reads a format. A format runs on a device if its last resort does, as that needs nothing but torch."""
    able = [other for other in FORMATS if other != format_name and best_variant(last_resort(other), device, checking)[0] is not None]
    return f"Load a file of another format: {', '.join(able)}." if able else "Load a float file: none of LightQuant's formats runs here."


def _passed_over(order: Order, faster: Sequence[str]) -> str:
    """What `auto` says of the order it followed; `lightquant doctor` has the reasons of each."""
    if len(order.schemes) == 1:
        return ""
    return f"faster ones can't run here: {', '.join(faster)} ({order.basis})" if faster else f"first in the order of speed, {order.basis}"


def _fallback(format_name: str) -> Kernel:
    return VARIANTS[last_resort(format_name)][-1]
