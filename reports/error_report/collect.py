"""The report of a conversion, made while it runs: the float weight and what is written of it are both at hand."""

import os
from collections.abc import Mapping

import torch

from ...convert.names import into_original
from ...convert.plan import Output, Plan
from ...convert.source import Source
from ...loaders.components import component_of
from ...loaders.random_weights import is_marked_random
from ...loaders.scaled import bare_name
from ..weight_errors import FLOAT
from .compare import measured
from .layer_reader import layers_of
from .report import WEIGHTS, ErrorReport, Side


class Collector:
    """Given every tensor of a conversion as it is written; keeps a few numbers of each quantized one."""

    def __init__(self, source: Source, plan: Plan, target: str, loras: int = 0, random: bool = False):
        keys = [bare_name(output.key) for output in plan.outputs]
        self._original = into_original(keys)
        keys = [self._original(key) for key in keys]
        self._naming = component_of(keys).naming_of(keys)
        self._source, self._target, self._layers = source, target, []
        self._notes = (f"The float weights are those with {loras} LoRA{'s' if loras > 1 else ''} merged.",) if loras else ()
        self._random = random

    def __call__(self, output: Output, tensor: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> None:
        """tensor: the float tensor that was quantized; parts: suffix -> what is written."""
        if output.format is None:
            return
        layer = self._original(bare_name(output.key)).removesuffix(".weight")
        floats = layers_of(self._naming, {f"{layer}.weight": tensor}, {}, self._source.path)
        stored = layers_of(self._naming, {layer + suffix: part for suffix, part in parts.items()}, {}, self._target)
        for name, each in stored.items():
            self._layers.append(measured(name, floats[name].weight.float(), each, self._target))

    def report(self) -> ErrorReport:
        """Of what was written so far, the layers in the order of the file."""
        side = Side(os.path.basename(os.path.normpath(self._target)), tuple(self._layers))
        random = self._random or is_marked_random(self._source.path)
        return ErrorReport(WEIGHTS, os.path.basename(os.path.normpath(self._source.path)), FLOAT, (side,), random, self._notes)
