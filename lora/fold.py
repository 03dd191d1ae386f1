"""Several changes of one layer as one: the factors of any number of LoRAs cost a single product."""

from collections.abc import Sequence

import torch

from ..bridge.beside import Addition
from ..bridge.lora_files import Additive, Difference, LowRank

Content = LowRank | Difference | Additive

Weighted = tuple[Content, float]
"""A change and its strength."""


def fold(weight: Sequence[Weighted], bias: Sequence[Weighted], dtype: torch.dtype) -> Addition:
    """The changes of a layer's weight and of its bias (differences) as what is added beside it, in the dtype that the layer computes in.

    Scales and strengths are multiplied into the up factors in fp32, and those are rounded once. Where the ranks together are so high that their
    product itself is the smaller one to multiply with, it is taken.
    """
    terms = [(content, strength) for content, strength in weight if isinstance(content, LowRank)]
    dense = total([(content, strength) for content, strength in weight if isinstance(content, Difference)])
    down = up = None
    if terms and _is_low(terms):
        down = torch.cat([term.down.to(dtype) for term, _ in terms])
        up = torch.cat([_scaled(term, strength).to(dtype) for term, strength in terms], dim=1)
    elif terms:
        dense = _sum([*(_scaled(term, strength) @ term.down.float() for term, strength in terms), dense])
    return Addition(
        down=down,
        up=up,
        dense=None if dense is None else dense.to(dtype),
        bias=None if not bias else total(bias).to(dtype),
        adapters=tuple((content.adapter, strength) for content, strength in weight if isinstance(content, Additive)),
    )


def total(differences: Sequence[Weighted]) -> torch.Tensor | None:
    """The sum of differences, each times its strength, in fp32; None where there are none."""
    return _sum([content.tensor.float() * strength for content, strength in differences])


def without_values(content: Content) -> Content:
    """The same change on the meta device, whose folding costs nothing and tells sizes."""
    if isinstance(content, LowRank):
        return LowRank(content.up.to("meta"), content.down.to("meta"), content.scale)
    return Difference(content.tensor.to("meta")) if isinstance(content, Difference) else content


def nbytes(addition: Addition) -> int:
    """What an addition takes on the device."""
    tensors = [addition.down, addition.up, addition.dense, addition.bias, *(each for adapter, _ in addition.adapters for each in adapter.weights)]
    return sum(each.nbytes for each in tensors if isinstance(each, torch.Tensor))


def _is_low(terms: Sequence[tuple[LowRank, float]]) -> bool:
    outputs, inputs = len(terms[0][0].up), terms[0][0].down.shape[1]
    return sum(len(term.down) for term, _ in terms) * (outputs + inputs) < outputs * inputs


def _scaled(term: LowRank, strength: float) -> torch.Tensor:
    """up [N, R] times scale and strength, in fp32."""
    return term.up.float() * (term.scale * strength)


def _sum(tensors: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    present = [each for each in tensors if each is not None]
    return sum(present[1:], start=present[0]) if present else None
