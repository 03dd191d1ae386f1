"""`sdpa-cudnn`, `sdpa-flash` and `sdpa-efficient`: the backends of torch's scaled_dot_product_attention, each called by its own operator.

ComfyUI calls the function and asks for flash before cuDNN. `torch.nn.attention.sdpa_kernel`, which picks a backend for it, does so for the whole
process: with several GPUs, ComfyUI's threads would pick for each other. What a backend does not take goes elsewhere.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch

from ..contract import Verdict
from ..devices import nvidia
from ..foreign.packages import TORCH
from ..operators import operator
from .checks import small_check
from .contract import HALVES, AttentionKernel, Call, fake_attention

_Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, float], torch.Tensor]
"""q, k, v: [B, H, S, D]; mask; scale."""


class _Backend(NamedTuple):
    """takes: what tells whether it takes a call on a GPU; None: it is for CPUs, and takes what can_run lets through."""

    attend: _Attention
    takes: Callable[[torch.backends.cuda.SDPAParams], bool] | None


def _cudnn(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: None, scale: float) -> torch.Tensor:
    return torch.ops.aten._scaled_dot_product_cudnn_attention(q, k, v, None, False, scale=scale)[0]


def _flash(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: None, scale: float) -> torch.Tensor:
    return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, scale=scale)[0]


def _efficient(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: None, scale: float) -> torch.Tensor:
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, False, scale=scale)[0]


def _flash_on_cpu(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scale: float) -> torch.Tensor:
    if mask is not None and mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, attn_mask=mask, scale=scale)[0]


_BACKENDS = {
    "cudnn": _Backend(_cudnn, torch.backends.cuda.can_use_cudnn_attention),
    "flash": _Backend(_flash, torch.backends.cuda.can_use_flash_attention),
    "efficient": _Backend(_efficient, torch.backends.cuda.can_use_efficient_attention),
    "flash-for-cpu": _Backend(_flash_on_cpu, None),
}
"""By the name that ours have."""

MOST_BATCHES = 1 << 15
"""ComfyUI cuts larger batches in pieces on NVIDIA, which torch fails with."""


@operator("sdpa(Tensor q, Tensor k, Tensor v, Tensor? mask, float scale, str backend) -> Tensor", fake_attention)
def sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scale: float, backend: str) -> torch.Tensor:
    """torch's attention by one backend; the arguments as `Call` has them."""
    q, k, v = _heads_first(q, k, v)
    return _BACKENDS[backend].attend(q, k, v, mask, scale).transpose(1, 2).contiguous()


def _heads_first(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> list[torch.Tensor]:
    """[B, H, S, D] of each, k and v with as many heads as q, as not every backend shares them."""
    shared = q.shape[2] // k.shape[2]
    return [q.transpose(1, 2), *((each if shared == 1 else each.repeat_interleave(shared, dim=2)).transpose(1, 2) for each in (k, v))]


class _SDPA(AttentionKernel):
    """On a GPU without masks: ComfyUI's own function asks torch for the same backends then."""

    package = TORCH
    backend: ClassVar[str]

    def is_supported(self, device: torch.device) -> Verdict:
        able, why = self.runs_on(device)
        return small_check(self, device) if able else (False, why)

    def runs_on(self, device: torch.device) -> Verdict:
        """Whether torch has the backend for this kind of device."""
        return nvidia(device, (8, 0), but="torch has no such attention for older ones")

    def can_run(self, call: Call) -> Verdict:
        able, why = super().can_run(call)
        if not able:
            return able, why
        if call.q.shape[0] > MOST_BATCHES:
            return False, "a batch that is too large for one call"
        # What torch itself says can't be asked while a graph is traced; the widths and dtypes above are such as it takes.
        if call.q.is_cuda and not torch.compiler.is_compiling() and not self._torch_takes(call):
            return False, "a call that torch's backend does not take"
        return True, ""

    def _torch_takes(self, call: Call) -> bool:
        q, k, v = (each.transpose(1, 2) for each in call[:3])
        if q.shape[1] != k.shape[1]:  # shapes and strides are all that is asked about
            k, v = (each[:, :1].expand(-1, q.shape[1], -1, -1) for each in (k, v))
        return _BACKENDS[self.backend].takes(torch.backends.cuda.SDPAParams(q, k, v, None, 0.0, False, False))

    def attend(self, call: Call) -> torch.Tensor:
        return sdpa(call.q, call.k, call.v, call.mask, call.scale, self.backend)


class CuDNN(_SDPA):
    name, backend, variant = "sdpa-cudnn", "cudnn", "torch's SDPA by cuDNN"


class Flash(_SDPA):
    name, backend, variant = "sdpa-flash", "flash", "torch's SDPA by its flash attention"

    def runs_on(self, device: torch.device) -> Verdict:
        if device.type == "cuda" and torch.version.hip:
            return True, "AMD"
        return super().runs_on(device)


class FlashOnCPU(_SDPA):
    """What torch calls flash on a CPU is a tiled attention of its own."""

    name, backend, variant = "sdpa-flash", "flash-for-cpu", "torch's SDPA by its tiled attention for CPUs"
    takes_mask, dtypes = True, (torch.float32, *HALVES)

    def runs_on(self, device: torch.device) -> Verdict:
        return device.type == "cpu", "it is for CPUs"


class Efficient(_SDPA):
    name, backend, variant = "sdpa-efficient", "efficient", "torch's SDPA by its memory-efficient attention"

    def runs_on(self, device: torch.device) -> Verdict:
        if device.type == "cuda" and torch.version.hip:
            return True, "AMD"
        return nvidia(device, (7, 5), but="torch has no such attention for older ones")


VARIANTS = (CuDNN(), Flash(), FlashOnCPU(), Efficient())
