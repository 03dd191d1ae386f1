"""What comes in where a MODEL, a CLIP or a CLIP_VISION may: which of them it is, and what of it can be quantized or saved."""

from typing import NamedTuple

import comfy.clip_vision
import comfy.lora
import comfy.model_patcher
import torch
from comfy.quant_ops import QuantizedTensor
from comfy.sd import CLIP

from ..errors import ConvertError
from ..loaders.components import COMPONENTS, component_of
from .build import VIT_H_HEAD_WIDTH
from .quantizing import device_for
from .record import record_of
from .weights import Weights, weights_of

_BYPASS = "bypass_lora"
"""What ComfyUI calls the injections of Load LoRA (Bypass)."""


class Given(NamedTuple):
    """kind: ComfyUI's name of the type; model: what came in; patcher: its ModelPatcher; component: dit, t5 or clip; weights: what a file holds."""

    kind: str
    model: object
    patcher: object
    component: str
    weights: Weights

    @property
    def patches(self) -> dict[str, list]:
        """What ComfyUI adds to the weights (a LoRA), by the names in `weights`."""
        prefix = self.weights.prefix
        return {key.removeprefix(prefix): patches for key, patches in self.patcher.patches.items() if key.startswith(prefix) and patches}

    def merged(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """A float tensor with its patches, computed in fp32 in memory of its own."""
        tensor = tensor.to(device_for(tensor.numel()), torch.float32, copy=True)
        return comfy.lora.calculate_weight(self.patches[name], tensor, self.weights.prefix + name)


def given(model: object) -> Given:
    """Raises ConvertError for anything but a Wan DiT, its umt5 and its ViT-H."""
    if isinstance(model, CLIP):
        if not hasattr(model.cond_stage_model, "umt5xxl"):
            raise ConvertError(f"This CLIP is a {type(model.cond_stage_model).__name__}, where a {COMPONENTS['t5'].title} (type wan) is needed.")
        return _known("CLIP", model, model.patcher, "t5", "umt5xxl.transformer.")
    if isinstance(model, comfy.clip_vision.ClipVisionModel):
        return _known("CLIP_VISION", model, model.patcher, "clip", "")
    if isinstance(model, comfy.model_patcher.ModelPatcher) and hasattr(model.model, "diffusion_model"):
        return _known("MODEL", model, model, "dit", "diffusion_model.")
    raise ConvertError(f"LightQuant got a {type(model).__name__}, where a MODEL, a CLIP or a CLIP_VISION is needed.")


def _known(kind: str, model: object, patcher, component: str, prefix: str) -> Given:
    weights = weights_of(patcher, prefix)
    found = component_of(weights.names())
    if found is None or found.name != component or (component == "clip" and not _is_vit_h(weights.module)):
        name = type(weights.module).__name__
        raise ConvertError(f"This {kind} is another model's ({name}), where a {COMPONENTS[component].title} of the Wan family is needed.")
    return Given(kind, model, patcher, component, weights)


def _is_vit_h(module: torch.nn.Module) -> bool:
    heads = module.vision_model.encoder.layers[0].self_attn.heads
    return heads * VIT_H_HEAD_WIDTH == module.vision_model.embeddings.class_embedding.shape[0]


def check_float(given: Given) -> None:
    """Raise ConvertError where a model is quantized already, by this pack or otherwise."""
    record = record_of(given.patcher)
    found = f"{record.format}, {record.file}" if record else _foreign(given.weights)
    if found:
        raise ConvertError(f"This {given.kind} is quantized already ({found}). Load the float model and quantize that.")


def check_no_bypass(given: Given, then: str) -> None:
    """Raise ConvertError where a LoRA is computed beside the layers, whose modules it holds. then: what the user can do."""
    if _BYPASS in given.patcher.injections:
        raise ConvertError(f"This {given.kind} has a LoRA of Load LoRA (Bypass), which is no change of its weights. {then}")


def _foreign(weights: Weights) -> str | None:
    for name in weights.names():
        tensor = weights.original(name)
        if isinstance(tensor, QuantizedTensor):
            return f"{name} is ComfyUI's {tensor._layout_cls}"
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            return f"{name} is a {type(tensor).__name__}"
        if tensor.ndim == 2 and not tensor.is_floating_point():
            return f"{name} is {tensor.dtype}"
    return None
