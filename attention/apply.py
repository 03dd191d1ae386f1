"""Giving a MODEL an attention kernel, and saying which and why."""

import logging
from collections.abc import Callable

from ..bridge import runs
from ..bridge.attention_hook import asked_of_comfyui, override_of, set_override
from ..kernels.attention import OWN, select
from ..schemes import AUTO, COMFYUI
from .override import Override, Tell

KEY = "lightquant_attention"
"""Of what is registered with a patcher."""

log = logging.getLogger(__name__)


def attend(patcher, asked: str, tell: Tell | None = None, may_substitute: bool = True) -> str:
    """Have a patcher's attention computed by a kernel, in place of one that it was given before. Returns which, and why, for the node.

    asked: a name of ATTENTIONS, `auto` or `comfyui`. `auto` leaves everything as it is where another node's override is on the model, where
    ComfyUI was started with an option that picks its attention, or where nothing was measured. A kernel that is asked for by name goes before
    such an option, and behind the override, which is handed it in place of ComfyUI's function. tell: gets each run's count. Raises KernelError
    where the kernel asked for can't run here and may not be substituted, or where there is none of the name.
    """
    said = _attend(patcher, asked, tell, may_substitute)
    log.info("LightQuant: %s", said)
    return said


def _attend(patcher, asked: str, tell: Tell | None, may_substitute: bool) -> str:
    runs.set_callbacks(patcher, KEY, {runs.BEGIN: _begin, runs.END: _end})
    outer = _others(override_of(patcher))
    set_override(patcher, outer)
    if asked == COMFYUI:
        return _own("as asked for", outer)
    if asked == AUTO and outer is not None:
        return _own("auto leaves it so", outer)
    if asked == AUTO and (option := asked_of_comfyui()):
        return _own(f"auto: ComfyUI was started with {option}, which goes before it", outer)
    kernel, why = select(asked, patcher.load_device, may_substitute)
    if kernel is None:
        return _own(why, outer)
    set_override(patcher, Override(kernel, patcher.load_device, outer, tell))
    quantized = "" if kernel.is_exact else ", which quantizes: approximate"
    chained = f"\n{_described(outer)} is on this model, and goes before it: what that leaves to ComfyUI goes to {kernel.name}" if outer else ""
    return f"attention {kernel.name}{quantized}: {why}{chained}"


def _others(override: Callable | None) -> Callable | None:
    """What another node put there, before or without one of ours."""
    return override.outer if isinstance(override, Override) else override


def _own(why: str, outer: Callable | None) -> str:
    return f"attention {OWN if outer is None else _described(outer)}: {why}"


def _described(override: Callable) -> str:
    kind = override if hasattr(override, "__qualname__") else type(override)
    return f"another node's override ({kind.__module__}.{kind.__qualname__})"


def _begin(patcher, *_: object) -> None:
    if isinstance(ours := override_of(patcher), Override):
        ours.begin()


def _end(patcher, *_: object) -> None:
    if isinstance(ours := override_of(patcher), Override):
        ours.end()
