"""Checkpoints against another one: each layer is read from all of them, measured and let go before the next."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite

import torch

from ...errors import ReportError
from ...formats import QuantizedWeight
from ..weight_errors import FLOAT, LayerError, stored_error
from .layer_reader import Layer, LayerReader
from .report import WEIGHTS, ErrorReport, Side

Progress = Callable[[int, int], None]
"""Bytes read, bytes to read. What it raises stops the comparison."""


def no_progress(done: int, total: int) -> None:
    pass


def compare(paths: Sequence[str], against: str, device: torch.device, random: bool = False, progress: Progress = no_progress) -> ErrorReport:
    """The quantized checkpoints at paths, one or two, against a float or quantized one. random: the weights are, whatever the files say.

    Memory holds one layer at a time, on the CPU and on `device`. Raises CheckpointError, and ReportError where they are not of one model.
    """
    models, reference = [LayerReader(path) for path in paths], LayerReader(against)
    for model in models:
        _check_same_model(model, reference)
    names = list(dict.fromkeys(name for model in models for name in model.quantized))
    total = sum(reference.nbytes_of(name) + sum(model.nbytes_of(name) for model in models) for name in names)
    sides, done = [[] for _ in models], 0
    for name in names:
        expected = reference.read(name).float(device)
        for model, layers in zip(models, sides, strict=True):
            if name in model.quantized:
                layers.append(measured(name, expected, model.read(name), model.path))
        done += reference.nbytes_of(name) + sum(model.nbytes_of(name) for model in models)
        progress(done, total)
    named = [Side(os.path.basename(os.path.normpath(model.path)), tuple(layers)) for model, layers in zip(models, sides, strict=True)]
    is_random = random or any(model.random for model in (*models, reference))
    return ErrorReport(WEIGHTS, os.path.basename(os.path.normpath(against)), _format_of(reference), tuple(named), is_random, _notes(models))


def measured(name: str, expected: torch.Tensor, layer: Layer, path: str) -> LayerError:
    """The figures of a stored layer against the float weight, which is on the device that computes. Raises ReportError for NaN on either side."""
    if tuple(expected.shape) != layer.format.shape(layer.weight):
        raise ReportError(
            f"LightQuant can't compare {path}: its {name} is {list(layer.format.shape(layer.weight))}, where the other checkpoint has "
            f"{list(expected.shape)}. Take two checkpoints of one model."
        )
    error = stored_error(name, expected, layer.format, QuantizedWeight(*(part.to(expected.device) for part in layer.weight)))
    if not isfinite(error.squared_error + error.squared_norm):
        raise ReportError(f"{name} holds NaN or infinite values in {path} or in what it is compared with: lightquant inspect --data says where.")
    return replace(error, stored_bytes=layer.nbytes)


def _check_same_model(model: LayerReader, reference: LayerReader) -> None:
    """Raise ReportError unless the two have the same layers."""
    if not model.quantized:
        raise ReportError(f"LightQuant can't report on {model.path}: none of its weights has a scale. Pick a quantized checkpoint.")
    if model.component != reference.component:
        raise ReportError(f"{model.path} is a {model.component} and {reference.path} a {reference.component}. Take two checkpoints of one model.")
    if model.factors != reference.factors:
        raise ReportError(
            f"Of {model.path} and {reference.path}, one is exported by LightCompress, whose weights are divided by factors: they can't be compared."
        )
    for one, other in ((model, reference), (reference, model)):
        absent = sorted(name for name in one.layers if not other.has(name))
        if absent:
            raise ReportError(
                f"{other.path} lacks {len(absent)} of the weights of {one.path}: {', '.join(absent[:5])}. Take two whole checkpoints of one model."
            )


def _format_of(reference: LayerReader) -> str:
    formats = dict.fromkeys(reference.read(name).format.name for name in reference.quantized[:1])
    return next(iter(formats), FLOAT)


def _notes(models: Sequence[LayerReader]) -> tuple[str, ...]:
    """What the sides don't share."""
    if len({frozenset(model.quantized) for model in models}) == 1:
        return ()
    counts = [len(set(one.quantized) - set(other.quantized)) for one, other in (models, models[::-1])]
    return (f"Layers that are quantized in A and float in B: {counts[0]}; in B and float in A: {counts[1]}.",)
