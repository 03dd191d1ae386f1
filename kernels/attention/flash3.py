"""`flash-attention-3`: FlashAttention-3 for Hopper, in vLLM's build of it or as the package that installs `flash_attn_interface`.

vLLM's is one operator, `_vllm_fa3_C::fwd`, in a library of its own that is loaded without vllm. It is built for sequences packed one behind the
other: q [B * S, H, D] and k, v [B * T, G, D] with the row at which each sequence begins (int32 [B + 1]); it returns a list, the output first. Its
37 and more arguments differ from version to version, so each is given by the name that the operator's own schema has for it.
The package's is `flash_attn_func(q, k, v, softmax_scale=, causal=)` on [B, S, H, D]; older ones return a pair, the output first.
"""

import importlib

import torch

from ..checks.once import once
from ..contract import Verdict
from ..devices import nvidia
from ..foreign.libraries import arguments_of, register
from ..foreign.packages import Found, Package
from ..operators import operator
from ..vllm import VLLM
from .contract import LAYOUT, Call, dense, fake_attention
from .foreign import ForeignAttention

FLASH3 = Package(
    "FlashAttention-3", ("flash-attn-3", "flash_attn_3"), "flash_attn_interface", {}, "it comes with vllm, or is built from the folder hopper of "
    "github.com/Dao-AILab/flash-attention", linux_only=True,
)  # fmt: skip

FORWARD = "_vllm_fa3_C::fwd"

LIBRARIES = ("vllm_flash_attn/_vllm_fa3_C*.so",)

SETTINGS: dict[str, object] = {
    "is_causal": False, "causal": False, "window_size_left": -1, "window_size_right": -1, "softcap": 0.0,
    "is_rotary_interleaved": False, "rotary_interleaved": False, "num_splits": 1, "sm_margin": 0, "cp_world_size": 1, "cp_rank": 0,
}  # fmt: skip
"""Of the operator's arguments those that must be given: no mask, no window, no rotation, and the keys of a query summed in one go, in one order."""

OPERANDS = ("q", "k", "v", "cu_seqlens_q", "cu_seqlens_k", "max_seqlen_q", "max_seqlen_k", "softmax_scale")


def arguments(given: dict[str, object]) -> list[object]:
    """The operator's arguments in the order of its schema: what is given, and what `_schema` has for the rest."""
    return [given.get(name, otherwise) for name, otherwise in _schema()]


@once
def _schema() -> list[tuple[str, object]]:
    """The operator's arguments, each with what it is given if it is no operand: a setting, its own default, or None. To read it takes 0.3 ms.

    Raises ImportError where the operator lacks an operand, or has an argument that none of these fills.
    """
    known = arguments_of(FORWARD)
    missing = set(OPERANDS) - {argument.name for argument in known}
    new = [argument.name for argument in known if argument.name not in {*OPERANDS, *SETTINGS} and not _may_be_left(argument)]
    if missing or new:
        what = " and ".join([*(f"no argument {name}" for name in sorted(missing)), *(f"an argument {name}, which is new" for name in new)])
        raise ImportError(f"its operator {FORWARD} has {what}: LightQuant does not know this version of vllm")
    return [(argument.name, SETTINGS.get(argument.name, argument.default_value)) for argument in known]


def _may_be_left(argument) -> bool:
    return argument.has_default_value() or isinstance(argument.type, torch.OptionalType)


@operator("flash3_vllm" + LAYOUT, fake_attention)
def flash3_vllm(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """vLLM's operator on sequences of equal length, one behind the other."""
    packed = (each.flatten(0, 1) for each in dense(q, k, v))
    given = dict(zip(OPERANDS, (*packed, _begins(q), _begins(k), q.shape[1], k.shape[1], scale), strict=True))
    return torch.ops._vllm_fa3_C.fwd(*arguments(given))[0].reshape(q.shape).contiguous()


def _begins(each: torch.Tensor) -> torch.Tensor:
    return torch.arange(0, each.shape[0] * each.shape[1] + 1, each.shape[1], dtype=torch.int32, device=each.device)


class _Flash3(ForeignAttention):
    name = "flash-attention-3"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (9, 0), (9, 0), but="FlashAttention-3 is written for Hopper")


class OfVLLM(_Flash3):
    """Only of the width that was measured: builds leave out others, and one that is missing would fail the whole check."""

    package, variant = VLLM, "FlashAttention-3 by vLLM's library"
    widths = (128,)

    def load(self, found: Found, device: torch.device) -> None:
        register(found, LIBRARIES, [FORWARD], None)
        _schema()

    def attend(self, call: Call) -> torch.Tensor:
        return flash3_vllm(*call[:4])


@operator("flash3" + LAYOUT, fake_attention)
def flash3(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """flash_attn_interface.flash_attn_func, whatever it returns beside the output."""
    found = importlib.import_module(FLASH3.module).flash_attn_func(*dense(q, k, v), softmax_scale=scale, causal=False)
    return (found[0] if isinstance(found, tuple) else found).contiguous()


class OfItsPackage(_Flash3):
    package, variant = FLASH3, "FlashAttention-3 by flash_attn_interface"

    def load(self, found: Found, device: torch.device) -> None:
        if not hasattr(importlib.import_module(FLASH3.module), "flash_attn_func"):
            raise ImportError("it has no function flash_attn_func")

    def attend(self, call: Call) -> torch.Tensor:
        return flash3(*call[:4])


VARIANTS = (OfVLLM(), OfItsPackage())
