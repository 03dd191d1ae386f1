"""The formats as comfy-kitchen layouts, which carry them through ComfyUI's memory management, LoRA and saving."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from comfy.quant_ops import QuantizedLayout, QuantizedTensor, register_layout_class
from comfy_kitchen.tensor import BaseLayoutParams

from ..formats import PACKINGS, PLAIN, Format, QuantizedWeight, stored_as


class FormatLayout(QuantizedLayout):
    """A layout whose codes and fp32 scale are those of one of our formats; `format` is set by the subclass made for each."""

    format: Format

    @dataclass(frozen=True)
    class Params(BaseLayoutParams):
        """scale: fp32, in the format's shape; orig_dtype: the compute dtype; orig_shape: (N, K)."""

        def clone(self) -> "FormatLayout.Params":
            """The same tensors in a new object.

            ComfyUI's hooks restore a weight by `parameter.data.copy_(backup)`, and `.data` comes through here: with a scale of its own it would
            take the codes back and leave the hooked LoRA's scale, which is silently another weight. A scale is never written to otherwise.
            """
            return dataclasses.replace(self)

    @classmethod
    def quantize(cls, tensor: torch.Tensor, scale=None, stochastic_rounding: int | None = 0, inplace_ops: bool = False, **kwargs):
        """Codes and params of a float weight. ComfyUI asks for "recalculate" when it bakes a LoRA; our scales always follow the weight."""
        stored = cls.format.quantize(tensor, seed=stochastic_rounding or None)
        return stored.data, cls.Params(scale=stored.scale, orig_dtype=tensor.dtype, orig_shape=tuple(tensor.shape))

    @classmethod
    def dequantize(cls, qdata: torch.Tensor, params: Params) -> torch.Tensor:
        return cls.format.dequantize(QuantizedWeight(qdata, params.scale), params.orig_dtype)

    @classmethod
    def get_plain_tensors(cls, qtensor: QuantizedTensor) -> tuple[torch.Tensor, torch.Tensor]:
        return qtensor._qdata, qtensor._params.scale

    @classmethod
    def state_dict_tensors(cls, qdata: torch.Tensor, params: Params) -> dict[str, torch.Tensor]:
        """Suffix behind "<layer>.weight" -> tensor: the keys that LightX2V's files have."""
        return {cls.format.keys["data"].removeprefix(".weight"): qdata, cls.format.keys["scale"].removeprefix(".weight"): params.scale}


def _layout_name(format_: Format) -> str:
    """Saved in nothing but a process's memory."""
    return f"LightQuant:{format_.name}" + (f":{format_.packing}" if format_.packing != PLAIN else "")


_FORMATS: dict[str, Format] = {_layout_name(format_): format_ for format_ in PACKINGS}

for _name, _format in _FORMATS.items():
    register_layout_class(_name, type(_name, (FormatLayout,), {"format": _format}))


def wrap(weight: QuantizedWeight, dtype: torch.dtype) -> QuantizedTensor:
    """The stored weight as a tensor of shape [N, K] that computes in dtype; codes and scales are taken as they are, in the packing they have."""
    format_ = stored_as(weight)
    params = FormatLayout.Params(scale=weight.scale, orig_dtype=dtype, orig_shape=format_.shape(weight))
    return QuantizedTensor(weight.data, _layout_name(format_), params)


def is_stored(weight: torch.Tensor) -> bool:
    """Whether a tensor is a weight in one of our formats."""
    return isinstance(weight, QuantizedTensor) and weight._layout_cls in _FORMATS


def format_in(weight: QuantizedTensor) -> Format:
    """The format and packing of a wrapped weight."""
    return _FORMATS[weight._layout_cls]


def format_name(weight: QuantizedTensor) -> str:
    """The format of a quantized weight; for one of ComfyUI's own, its layout's name."""
    return format_in(weight).name if is_stored(weight) else weight._layout_cls


def nbytes(weight: QuantizedTensor) -> int:
    """Bytes of its codes, scales and whatever else it holds."""
    return sum(part.nbytes for part in (weight._qdata, *vars(weight._params).values()) if isinstance(part, torch.Tensor))


def stored(weight: QuantizedTensor) -> QuantizedWeight:
    """The codes and scales inside."""
    return QuantizedWeight(weight._qdata, weight._params.scale)


def plain(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors that a weight, quantized or not, is made of."""
    return tuple(stored(weight)) if isinstance(weight, QuantizedTensor) else (weight.detach(),)


def rebuilt(weight: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The weight over copies of what `plain` gave."""
    if not isinstance(weight, QuantizedTensor):
        return parts[0]
    data, scale = parts
    return QuantizedTensor(data, weight._layout_cls, dataclasses.replace(weight._params, scale=scale))
