"""What runs beside a model's layers: held by ComfyUI's memory management like a model of its own, and in place only while its clone's model runs.

ComfyUI's bypass LoRA wraps the layers' forward for as long as a clone is loaded. Its hooks then know the modules of one copy of the model alone (a
TorchCompileModel or multi-GPU copy is without them), two bypass nodes replace each other, their factors are in nobody's account, and an error while
the model loads leaves them behind. So this is a wrapper of `apply_model` instead, which ComfyUI keeps with the clone and calls for whichever copy.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from comfy.patcher_extension import WrappersMP
from comfy.weight_adapter import WeightAdapterBase

from .lending import lend, take_back


@dataclass(frozen=True)
class Addition:
    """What is added beside one Linear of weight [N, K]; every part may be absent.

    down: [R, K] and up: [N, R], of a product of low rank; dense: [N, K]; bias: [N]. All in the dtype they are computed in.
    adapters: ComfyUI's own, with the strength of each.
    """

    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    dense: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    adapters: tuple[tuple[WeightAdapterBase, float], ...] = ()


@dataclass(frozen=True)
class Additions:
    """layers: by the name of the Linear in the model; parameters: by the key of the parameter, what is added to it, in fp32."""

    layers: Mapping[str, Addition]
    parameters: Mapping[str, torch.Tensor]


class Beside(torch.nn.Module):
    """An Addition as layers of ComfyUI's own kind, which its memory management counts, moves, pins and streams."""

    def __init__(self, addition: Addition):
        super().__init__()
        self.down, self.up, self.dense = _held(addition.down), _held(addition.up), _held(addition.dense)
        self.bias = None if addition.bias is None else _Values([addition.bias])
        self.adapters = torch.nn.ModuleList(_Adapter(adapter, strength) for adapter, strength in addition.adapters)

    def bias_with(self, bias: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor | None:
        """The layer's bias, in x's dtype and on its device, with what is added to it: no pass over the output is needed for that."""
        if self.bias is None:
            return bias
        (added,) = self.bias.on(x)
        return added if bias is None else bias + added

    def add_bias(self, y: torch.Tensor) -> torch.Tensor:
        """The layer's output with what is added to the bias, in place."""
        if self.bias is not None:
            y.add_(*self.bias.on(y))
        return y

    def add(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The layer's output y [..., N] for x [..., K], with everything but the bias added to it in place."""
        rows, out = x.reshape(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        if self.down is not None:
            _multiply(self.up, _multiply(self.down, rows), out)
        if self.dense is not None:
            _multiply(self.dense, rows, out)
        for adapter in self.adapters:
            out.add_(adapter(rows, out))
        return y


class _Values(torch.nn.Module):
    """Small tensors that ComfyUI moves with the rest."""

    def __init__(self, tensors: list[torch.Tensor]):
        super().__init__()
        self.tensors = torch.nn.ParameterList(torch.nn.Parameter(tensor, requires_grad=False) for tensor in tensors)

    def on(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The tensors in x's dtype, on its device."""
        return [comfy.model_management.cast_to(tensor, x.dtype, x.device) for tensor in self.tensors]


class _Adapter(_Values):
    """One of ComfyUI's adapters, whose factors are moved like the rest."""

    def __init__(self, adapter: WeightAdapterBase, strength: float):
        super().__init__([each for each in adapter.weights if isinstance(each, torch.Tensor)])
        self._kind, self._strength = type(adapter), strength
        self._rest = [None if isinstance(each, torch.Tensor) else (each,) for each in adapter.weights]

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        moved = iter(self.on(x))
        adapter = self._kind(set(), tuple(next(moved) if each is None else each[0] for each in self._rest))
        adapter.multiplier = self._strength
        return adapter.h(x, y)


def _held(matrix: torch.Tensor | None) -> torch.nn.Module | None:
    if matrix is None:
        return None
    layer = comfy.ops.manual_cast.Linear(matrix.shape[1], matrix.shape[0], bias=False, device="meta", dtype=matrix.dtype)
    layer.weight = torch.nn.Parameter(matrix, requires_grad=False)
    return layer


def _multiply(layer: torch.nn.Module, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """x @ W.T, added to out in place where there is one: by the product itself, which reads and writes out once."""
    loan = lend(layer, x)
    weight = loan.weight.to(x.dtype).t()
    y = x @ weight if out is None else out.addmm_(x, weight)
    take_back(layer, loan)
    return y


class Holder(torch.nn.Module):
    """All that is added beside a model, as the model that ComfyUI loads with it."""

    def __init__(self, additions: Additions):
        super().__init__()
        self.names, self.keys = tuple(additions.layers), tuple(additions.parameters)
        self.besides = torch.nn.ModuleList(map(Beside, additions.layers.values()))
        self.parameters_added = _Values(list(additions.parameters.values()))
        self._running: weakref.WeakSet = weakref.WeakSet()

    @contextlib.contextmanager
    def in_place(self, model: torch.nn.Module) -> Iterator[None]:
        """While this lasts, the model's layers compute with what is beside them; whatever ends it, nothing is left there."""
        if model in self._running:  # a wrapper that ComfyUI has been given twice
            yield
            return
        layers = [_module(model, name) for name in self.names]
        owners = [(_module(model, key.rpartition(".")[0]), key.rpartition(".")[2]) for key in self.keys]
        originals = [owner._parameters[name] for owner, name in owners]
        self._running.add(model)
        try:
            for layer, beside in zip(layers, self.besides, strict=True):
                layer.beside = (beside,)
            for (owner, name), original, added in zip(owners, originals, self.parameters_added.tensors, strict=True):
                changed = original.float() + comfy.model_management.cast_to(added, torch.float32, original.device)
                owner._parameters[name] = torch.nn.Parameter(changed.to(original.dtype), requires_grad=False)
            yield
        finally:
            for layer in layers:
                layer.__dict__.pop("beside", None)
            for (owner, name), original in zip(owners, originals, strict=True):
                owner._parameters[name] = original
            self._running.discard(model)


def _module(model: torch.nn.Module, name: str) -> torch.nn.Module:
    """A module by its name, and not what torch.compile may have put in its place for this call."""
    module = model.get_submodule(name)
    return getattr(module, "_orig_mod", module)


def run_beside(patcher, key: str, make: Callable[[], Additions]) -> None:
    """Have a clone's model run with additions, in place of those that it had under the key.

    make: called when sampling first needs them, so that of a chain of nodes only the last one's additions are made.
    """

    def new_holder(load_device: torch.device, offload_device: torch.device, disable_dynamic: bool = False):
        # Static under dynamic VRAM too, so that torch.compile can trace through it.
        holder = comfy.model_patcher.ModelPatcher(Holder(make()), load_device=load_device, offload_device=offload_device)
        holder.cached_patcher_init = (new_holder, (load_device, offload_device))
        return holder

    holder_on, devices = cache(new_holder), (patcher.load_device, patcher.offload_device)

    def load_with_the_model(executor, model, *args, **kwargs):
        model.set_additional_models(key, [holder_on(model.load_device, model.offload_device)])
        return executor(model, *args, **kwargs)

    def apply_model(executor, *args, **kwargs):
        # A copy of the model on another GPU has a copy of the holder there, made by ComfyUI.
        current = getattr(executor.class_obj, "current_patcher", None)
        holders = current.get_additional_models_with_key(key) if current is not None else []
        with (holders[0] if holders else holder_on(*devices)).model.in_place(executor.class_obj):
            return executor(*args, **kwargs)

    patcher.remove_additional_models(key)
    for kind, wrapper in ((WrappersMP.PREPARE_SAMPLING, load_with_the_model), (WrappersMP.APPLY_MODEL, apply_model)):
        patcher.remove_wrappers_with_key(kind, key)
        patcher.add_wrapper_with_key(kind, key, wrapper)
