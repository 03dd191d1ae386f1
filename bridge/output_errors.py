"""How far each quantized layer's output is from the float layer's on the same input, summed up while a model runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf, isfinite
from typing import NamedTuple

import torch
import torch.nn.functional as F
from comfy.quant_ops import QuantizedTensor

from ..errors import ReportError
from ..reports.weight_errors import LayerError
from .layouts import format_name, nbytes
from .lending import lend, take_back

_PIECE = 2**24
"""Numbers of an output that are compared at a time: in fp32 64 MiB."""


class Quantized(NamedTuple):
    """A quantized layer of a model. bytes: of its codes and scales."""

    module: torch.nn.Module
    format: str
    shape: tuple[int, int]
    bytes: int


class Pair(NamedTuple):
    """A quantized layer and the reference's of the same name."""

    layer: Quantized
    reference: torch.nn.Module


def quantized_layers(module: torch.nn.Module) -> dict[str, Quantized]:
    """The layers with a quantized weight by their name in the module, ComfyUI's own kinds included."""
    layers = {name: each for name, each in module.named_modules() if isinstance(getattr(each, "weight", None), QuantizedTensor)}
    return {name: Quantized(each, format_name(each.weight), tuple(each.weight.shape), nbytes(each.weight)) for name, each in layers.items()}


class OutputErrors:
    """Two sums for each layer that ran: of its squared errors and of the squared outputs of the reference's layer."""

    def __init__(self, pairs: Mapping[str, Pair]):
        self._layers = {name: pair.layer for name, pair in pairs.items()}
        self._sums: dict[str, torch.Tensor] = {}

    def add(self, name: str, sums: torch.Tensor) -> None:
        """sums: [2], on whatever device; it stays there, so that no step waits for it."""
        self._sums[name] = self._sums[name] + sums if name in self._sums else sums

    def layers(self) -> tuple[LayerError, ...]:
        """The layers that ran, in the model's order. One that gave NaN or infinity has an infinite error."""
        errors = []
        for name, layer in self._layers.items():
            if name in self._sums:
                error, norm = self._sums[name].tolist()
                error = error if isfinite(error) and isfinite(norm) else inf
                rows, columns = layer.shape
                errors.append(LayerError(name, layer.format, rows, rows * columns, 2 * rows * columns, layer.bytes, error, norm, 0, 0))
        return tuple(errors)

    def notes(self) -> list[str]:
        """What a reader must know of layers without a figure."""
        idle = [name for name in self._layers if name not in self._sums]
        broken = [error.layer for error in self.layers() if error.squared_error == inf]
        said = {"quantized layers did not run": idle, "layers gave NaN or infinite values": broken}
        return [f"{len(names)} {what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}." for what, names in said.items() if names]


def paired(module: torch.nn.Module, reference: torch.nn.Module) -> dict[str, Pair]:
    """Every quantized layer of a module, by name, with its counterpart.

    Raises ReportError where the module has no quantized layer, or the reference not one like it.
    """
    layers = quantized_layers(module)
    if not layers:
        raise ReportError("The model has no quantized layer to compare. Connect a quantized MODEL as model, and the float one as reference.")
    return {name: Pair(layer, _counterpart(reference, name, layer.shape)) for name, layer in layers.items()}


@contextmanager
def watching(pairs: Mapping[str, Pair]) -> Iterator[OutputErrors]:
    """Compare every quantized layer, each time that it runs, with what its counterpart gives for the same input. No activation is kept.

    The hooks lie on modules that other clones of the model share, so they are gone when this ends, however it does.
    """
    errors, hooks = OutputErrors(pairs), []
    try:
        for name, pair in pairs.items():
            hooks.append(pair.layer.module.register_forward_hook(_compare(errors, name, pair.reference)))
        yield errors
    finally:
        for hook in hooks:
            hook.remove()


def _counterpart(reference: torch.nn.Module, name: str, shape: tuple[int, int]) -> torch.nn.Module:
    try:
        module = reference.get_submodule(name)
        found = tuple(module.weight.shape)
    except AttributeError:
        found = None
    if found != shape:
        what = f"one of the shapes {list(found)}" if found else "none"
        raise ReportError(
            f"The reference is of another kind than the model: for {name} of {list(shape)} it has {what}. Connect the float model of the same kind."
        )
    return module


def _compare(errors: OutputErrors, name: str, reference: torch.nn.Module):
    def hook(_: torch.nn.Module, args: tuple, output: torch.Tensor) -> None:
        x = args[0].flatten(0, -2)
        loan = lend(reference, x)
        weight = loan.weight.dequantize() if isinstance(loan.weight, QuantizedTensor) else loan.weight
        errors.add(name, _sums(x, output.flatten(0, -2), weight.to(x.dtype), loan.bias))
        take_back(reference, loan)

    return hook


def _sums(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """[2]: of the squares of y - x @ weight.T - bias and of the latter; in fp64, where the device has it."""
    dtype = torch.float32 if x.device.type == "mps" else torch.float64
    sums = torch.zeros(2, dtype=dtype, device=x.device)
    rows = max(1, _PIECE // max(weight.shape))
    for start in range(0, len(x), rows):
        expected = F.linear(x[start : start + rows], weight, bias).float()
        error = y[start : start + rows].float() - expected
        sums += torch.stack([each.square_().sum(dtype=dtype) for each in (error, expected)])
    return sums
