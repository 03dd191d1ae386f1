"""A conversion that writes no file: what it would hold, in memory."""

from collections.abc import Mapping
from typing import Protocol

import torch

from ..loaders.files import Header
from .plan import Plan
from .run import Progress, converted, no_progress, steps


class Readable(Protocol):
    """Where float tensors come from one at a time: a checkpoint (source.py), or a model that is loaded."""

    path: str
    headers: Mapping[str, Header]

    def read(self, key: str) -> torch.Tensor:
        """One tensor, in memory of its own."""

    def check_unchanged(self) -> None:
        """Raise ConvertError where what was read may be of two models."""


def in_memory(source: Readable, plan: Plan, progress: Progress = no_progress) -> dict[str, torch.Tensor]:
    """The tensors that the plan's files would hold, by key, on the CPU; beside them there is never more than one tensor of the source.

    Raises ConvertError as run.py does, and whatever the progress raises.
    """
    step, tensors = steps(plan, progress), {}
    for output in plan.outputs:
        parts = converted(source.read(output.source), output, plan.settings)
        tensors.update({name: parts[suffix].cpu() for name, suffix in zip(output.names, output.stored, strict=True)})
        step(output.nbytes)
    source.check_unchanged()
    return tensors
