"""The LoRAs of a model, in the order of their nodes, and everything that they add beside its layers."""

from collections.abc import Callable
from dataclasses import dataclass

from ..bridge.beside import Additions
from ..bridge.lora_files import Change, Difference
from ..bridge.places import LINEAR, OWN, Place
from .fold import Weighted, fold, nbytes, total, without_values

KEY = "lightquant_lora"
"""The name under which a clone keeps its chain, and the wrappers and the additional model that bring its additions in."""


@dataclass(frozen=True)
class Placed:
    """A change, and where in the model it belongs."""

    change: Change
    place: Place

    @property
    def is_bias(self) -> bool:
        """Whether it is a change of a bias."""
        return self.change.key.endswith(".bias")

    @property
    def is_beside(self) -> bool:
        """Whether it can be added beside the layer."""
        return self.place.kind == LINEAR and self.change.content is not None

    @property
    def is_on_parameter(self) -> bool:
        """Whether it is added to a parameter that ComfyUI's patches never reach."""
        return self.place.kind == OWN and isinstance(self.change.content, Difference)

    @property
    def is_out_of_reach(self) -> bool:
        """Whether nothing can bring it in: a parameter that ComfyUI's patches never reach is added to, and gets no other value."""
        return self.place.kind == OWN and not self.is_on_parameter


@dataclass(frozen=True)
class Link:
    """What one LoRA adds while the model runs. What it patches instead lies in the clone's patches."""

    strength: float
    placed: tuple[Placed, ...]


Chain = tuple[Link, ...]


def chain_of(patcher) -> Chain:
    """The links that a patcher has."""
    return patcher.get_attachment(KEY) or ()


def additions(chain: Chain, prepare: Callable = lambda content: content) -> Additions:
    """Everything that the chain adds, folded layer by layer. prepare: is given each change's content before that."""
    layers: dict[str, tuple[list[Weighted], list[Weighted], Place]] = {}
    parameters: dict[str, list[Weighted]] = {}
    for link in chain:
        for placed in link.placed:
            place, weighted = placed.place, (prepare(placed.change.content), link.strength)
            if placed.is_beside:
                layers.setdefault(place.layer, ([], [], place))[placed.is_bias].append(weighted)
            else:
                parameters.setdefault(placed.change.key, []).append(weighted)
    return Additions(
        {layer: fold(weight, bias, place.dtype) for layer, (weight, bias, place) in layers.items()},
        {key: total(differences) for key, differences in parameters.items()},
    )


def size(chain: Chain) -> int:
    """The bytes that the chain's additions take on the device; they are not made for that."""
    made = additions(chain, without_values)
    return sum(map(nbytes, made.layers.values())) + sum(added.nbytes for added in made.parameters.values())
