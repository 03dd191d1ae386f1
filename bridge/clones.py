"""Clones of what ComfyUI passes around, whose choices are their own and whose weights are shared."""

import copy

from comfy_execution.graph_utils import ExecutionBlocker

from .language import in_users_language


def clone_of(model):
    """A clone of a MODEL, CLIP or CLIP_VISION."""
    if hasattr(model, "clone"):
        return model.clone()
    clone = copy.copy(model)  # ComfyUI's CLIP_VISION knows no clone
    clone.patcher = model.patcher.clone()
    return clone


def patcher_of(model):
    """The ModelPatcher in a MODEL, CLIP or CLIP_VISION."""
    return getattr(model, "patcher", model)


def blocker(why: str) -> ExecutionBlocker:
    """What goes out of an output that has nothing: whoever uses it gets the reason, in the user's language."""
    return ExecutionBlocker(in_users_language(why))
