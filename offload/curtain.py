"""Layers that ComfyUI does not see while it loads a model, so that it leaves their weights where they are."""

from collections.abc import Callable, Sequence

import torch

from ..kernels import Activation
from .units import Layer

_SHOWN = ("weight", "bias", "weight_scale", "set_weight", "convert_weight")
"""What a LoRA node asks of a layer. With more, `comfy_cast_weights` above all, ComfyUI would see it."""


class Curtain(torch.nn.Module):
    """Stands in a layer's place, by ComfyUI's object patches, from the moment its model is loaded until `arrive` puts the layer back.

    Where a model that is loaded already runs again, nobody is told: then the first layer that is called calls `arrive` itself.
    """

    def __init__(self, layer: torch.nn.Module, arrive: Callable[[], None]):
        super().__init__()
        self._behind = (layer, arrive)  # in a tuple: a module would be one of this module's own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._arrived()(x)

    def multiply(self, activation: Activation) -> torch.Tensor:
        """The layer's, which a fused block calls in place of forward."""
        return self._arrived().multiply(activation)

    def _arrived(self) -> torch.nn.Module:
        layer, arrive = self._behind
        arrive()
        return layer

    def __getattr__(self, name: str):
        if name not in _SHOWN:
            raise AttributeError(name)
        return getattr(self._behind[0], name)

    def state_dict(self, *args, **kwargs):
        """That of the layer: ComfyUI finds out by its keys what a LoRA fits."""
        return self._behind[0].state_dict(*args, **kwargs)


def hang(patcher, layers: Sequence[Layer], arrive: Callable[[], None]) -> None:
    """Have a clone hide these layers when it is loaded."""
    for layer in layers:
        patcher.add_object_patch(layer.name, Curtain(layer.module, arrive))


def take_down(patcher) -> None:
    """Have a clone hide nothing."""
    for name in [name for name, patch in patcher.object_patches.items() if isinstance(patch, Curtain)]:
        del patcher.object_patches[name]


def draw(model: torch.nn.Module, originals: dict[str, object]) -> None:
    """Put the hidden layers back. originals: what ComfyUI's object patches have replaced, by name; it forgets the layers that are in place again."""
    for name, original in list(originals.items()):
        parent, _, child = name.rpartition(".")
        place = model.get_submodule(parent)
        if isinstance(getattr(place, child), Curtain):
            setattr(place, child, original)
            del originals[name]
