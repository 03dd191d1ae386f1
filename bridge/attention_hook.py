"""ComfyUI's hook for attention, and what its user asked of ComfyUI itself about attention."""

from collections.abc import Callable, Mapping

from comfy.cli_args import args

_HOOK = "optimized_attention_override"

_FLAGS = (
    "use_sage_attention", "use_flash_attention", "use_pytorch_cross_attention", "use_split_cross_attention", "use_quad_cross_attention",
    "force_upcast_attention",
)  # fmt: skip
"""ComfyUI's start options that say how attention is to be computed, as its parser names them."""


def asked_of_comfyui() -> str | None:
    """The start option by which the user picked an attention, None where ComfyUI picks."""
    return next((f"--{flag.replace('_', '-')}" for flag in _FLAGS if getattr(args, flag, False)), None)


def override_of(patcher) -> Callable | None:
    """What a MODEL's patcher has ComfyUI call in place of its attention function."""
    return override_in(patcher.model_options.get("transformer_options", {}))


def override_in(transformer_options: Mapping) -> Callable | None:
    """The same, of the run that these options are of."""
    return transformer_options.get(_HOOK)


def set_override(patcher, override: Callable | None) -> None:
    """Have ComfyUI call something in place of its attention function for this patcher; None: nothing."""
    options = {name: each for name, each in patcher.model_options.get("transformer_options", {}).items() if name != _HOOK}
    patcher.model_options["transformer_options"] = options if override is None else {**options, _HOOK: override}
