"""What a parameter of a loaded model belongs to, which decides how it can be changed."""

from typing import NamedTuple

import comfy.utils
import torch

from .linear import QuantizedLinear

LINEAR, OWN, LEAF = "linear", "own", "leaf"
"""Of a Linear of the pack's, beside which something can be computed; of a module that holds others too, whose own parameters ComfyUI's patches
never reach (a block's modulation); of any other layer, which ComfyUI patches."""


class Place(NamedTuple):
    """layer: the module's name in the model; kind: LINEAR, OWN or LEAF; shape and dtype: the parameter's, as it is computed with."""

    layer: str
    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype


def place_of(model: torch.nn.Module, key: str) -> Place:
    """The place of a parameter, by its key in the model's state dict."""
    layer, _, _ = key.rpartition(".")
    module, parameter = model.get_submodule(layer), comfy.utils.get_attr(model, key)
    holds_others = next(module.children(), None) is not None
    kind = LINEAR if isinstance(module, QuantizedLinear) else OWN if holds_others else LEAF
    return Place(layer, kind, tuple(parameter.shape), parameter.dtype)
