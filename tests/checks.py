"""The measures of right: every quantized linear inside a running model against fp32 arithmetic on the same quantized operands, from the file."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from lightquant.bridge.linear import QuantizedLinear
from lightquant.formats import QuantizedWeight, repacked, stored_as
from lightquant.kernels import reference
from lightquant.loaders import Checkpoint
from torch.utils._python_dispatch import TorchDispatchMode

QUANTIZERS = ("quantize_rows", "quantize_groups")
"""The pack's operators that are no products."""


PLAIN_SCHEMES = {"fp8-channel": "fp8-torch", "int8-channel": "int8-torch", "int4-g128": "int4-g128-torch", "fp8-b128": "fp8-b128-torch"}
"""Format -> a scheme of it that runs everywhere."""


def tensors_of(model) -> dict[str, torch.Tensor]:
    """Codes, scales and the rest of a MODEL, CLIP or CLIP_VISION, by their names in ComfyUI's model."""
    return getattr(model, "patcher", model).model.state_dict()


def assert_same(model, other) -> None:
    """Fail unless two quantized models have the same tensors to the last bit."""
    ours, theirs = tensors_of(model), tensors_of(other)
    assert ours.keys() == theirs.keys()
    assert any(key.endswith("weight_scale") for key in ours)
    for key, tensor in ours.items():
        assert (tensor.dtype, tensor.shape) == (theirs[key].dtype, theirs[key].shape), key
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), theirs[key].reshape(-1).view(torch.uint8)), key


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0))


@dataclass
class Watch:
    """errors: the worst relative error of each quantized layer; excess: the same over its kernel's tolerance.

    calls: how often each layer ran; products: how often each of the pack's operators did.
    """

    errors: dict[str, float] = field(default_factory=dict)
    excess: dict[str, float] = field(default_factory=dict)
    calls: Counter = field(default_factory=Counter)
    products: Counter = field(default_factory=Counter)

    def check(self, layers: Mapping[str, QuantizedWeight]) -> None:
        """Fail unless every layer ran, through a kernel of the pack each time, and gave what the oracle gives."""
        assert set(self.calls) == set(layers), f"layers that never ran: {set(layers) - set(self.calls)}"
        wrong = {name: error for name, error in self.errors.items() if self.excess[name] > 1}
        assert not wrong, f"wrong outputs: {wrong}"
        assert sum(self.products.values()) == sum(self.calls.values()), f"{self.products} products for {sum(self.calls.values())} calls"


class _CountProducts(TorchDispatchMode):
    def __init__(self, counter: Counter):
        super().__init__()
        self.counter = counter

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "lightquant" and func._opname not in QUANTIZERS:
            self.counter[func._opname] += 1
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def watching(module: torch.nn.Module, checkpoint: Checkpoint) -> Iterator[Watch]:
    """Watch every layer of the module whose weight the checkpoint has quantized. The truth is the file's, not what the module holds."""
    watch = Watch()

    def hook(name: str, layer: QuantizedLinear):
        def compare(_, inputs, output) -> None:
            x, bias = inputs[0], checkpoint.tensors.get(name + ".bias")
            format_name = stored_as(checkpoint.weights[name]).name
            selection = layer.selections[format_name]
            stored = repacked(format_name, checkpoint.weights[name], selection.kernel.packings)
            weight = QuantizedWeight(*(part.to(x.device) for part in stored))
            kernel = selection.for_rows(x.numel() // x.shape[-1], weight, x.dtype)
            # A bias is no quantized operand: it is in the model's compute dtype, as in ComfyUI's own models.
            expected = reference.linear(kernel, x, weight, None if bias is None else bias.to(x.device, layer.weight.dtype))
            error = reference.relative_error(output, expected)
            watch.calls[name] += 1
            watch.errors[name] = max(error, watch.errors.get(name, 0.0))
            watch.excess[name] = max(error / kernel.tolerance(output.dtype), watch.excess.get(name, 0.0))

        return layer.register_forward_hook(compare)

    hooks = [hook(name, module.get_submodule(name)) for name in checkpoint.weights]
    try:
        with _CountProducts(watch.products):
            yield watch
    finally:
        for each in hooks:
            each.remove()
