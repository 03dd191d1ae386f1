"""A float MODEL, CLIP or CLIP_VISION of the graph into a quantized one; the float one stays as it is."""

import logging
from dataclasses import replace

import torch

from ..formats import DTYPES
from ..loaders.checkpoint import SPIECE, described
from ..loaders.files import Header
from .carrying import carry_over, check_portable
from .deciding import settings_for
from .given import Given, check_float, given
from .layouts import is_stored, stored
from .load import Loaded, assemble, summary
from .quantizing import Quantized, quantize
from .request import Request
from .weights import Weights, weights_of

_OF_A_CLIP_VISION = ("image_size", "image_mean", "image_std", "return_all_hidden_states")
"""What a CLIP_VISION has beside its weights."""

log = logging.getLogger(__name__)


def quantize_model(model: object, scheme: str, scaling: str, may_substitute: bool) -> Loaded:
    """The model in the scheme's format, with what its own clone would have; LoRAs on it are merged in fp32 before.

    Raises ConvertError, SchemeError or KernelError; the model that was given is not changed.
    """
    float_model = given(model)
    check_float(float_model)
    check_portable(float_model)
    request = Request(float_model.component, f"the {float_model.kind}", scheme, may_substitute=may_substitute)
    opened = quantize(_ModelSource(float_model), request.component, settings_for(request, scaling), "in the graph", tokenizer_of(float_model))
    loaded = assemble(request, opened, disable_dynamic=not float_model.patcher.is_dynamic())
    carry_over(float_model, loaded)
    weights = weights_of(loaded.patcher, float_model.weights.prefix)
    same = replace(request, dtype=next(name for name, dtype in DTYPES.items() if str(dtype) == f"torch.{loaded.record.dtype}"))
    loaded.patcher.cached_patcher_init = (second_copy, (weights, same, opened.how, tokenizer_of(float_model)))
    log.info("LightQuant: %s", summary(loaded.record))
    return loaded._replace(model=_in_its_place(float_model, loaded))


def second_copy(weights: Weights, request: Request, how: str | None, tokenizer: dict[str, torch.Tensor], disable_dynamic: bool = False):
    """The patcher of another model with the same weights and memory of its own; a factory for `cached_patcher_init`."""
    tensors = dict(tokenizer)
    for name in weights.names():
        tensor = weights.original(name)
        parts = {name: tensor} if not is_stored(tensor) else {name: stored(tensor).data, f"{name}_scale": stored(tensor).scale}
        tensors.update({key: part.to("cpu", copy=True) for key, part in parts.items()})
    return assemble(request, Quantized(described(request.path, request.component, tensors), how), disable_dynamic).patcher


def tokenizer_of(given: Given) -> dict[str, torch.Tensor]:
    """What a file of the model would carry beside its weights, by key."""
    return {SPIECE: given.model.tokenizer.state_dict()[SPIECE]} if given.component == "t5" else {}


class _ModelSource:
    """A loaded model's float tensors, as the conversion reads those of a file; what is patched onto them is merged."""

    def __init__(self, given: Given):
        self.path = f"the {given.kind}"
        self._given = given
        tensors = {name: given.weights.original(name) for name in given.weights.names()}
        self.headers = {name: Header(tensor.dtype, tuple(tensor.shape), tensor.nbytes, self.path, None) for name, tensor in tensors.items()}

    def read(self, name: str) -> torch.Tensor:
        tensor = self._given.weights.original(name)
        return self._given.merged(name, tensor) if name in self._given.patches else tensor.to("cpu", copy=True)

    def check_unchanged(self) -> None:
        """Nothing but the graph changes it, and that waits."""


def _in_its_place(given: Given, loaded: Loaded) -> object:
    """What the node gives out: the quantized model with what the given one has beside its patcher."""
    if given.kind == "CLIP":
        clip = given.model.clone()
        clip.patcher, clip.cond_stage_model = loaded.patcher, loaded.model.cond_stage_model
        return clip
    if given.kind == "CLIP_VISION":
        for name in _OF_A_CLIP_VISION:
            setattr(loaded.model, name, getattr(given.model, name))
    return loaded.model
