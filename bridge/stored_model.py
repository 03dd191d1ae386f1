"""The tensors of a quantized model as a file for a reader has them, a LoRA baked in where there is one."""

from collections.abc import Iterable, Mapping

import torch

from ..convert.plan import Output, check_reader
from ..convert.run import check_held
from ..convert.selection import USUAL_DTYPE
from ..convert.settings import COMFYUI, LIGHTX2V
from ..convert.stored import WHOLE, has_one_scale, quantize_for, quantized_parts, stored_parts
from ..errors import ConvertError
from ..formats import DTYPES, INT4_MARLIN, PLAIN, Format, QuantizedWeight, repacked
from ..loaders import clip_keys, t5_keys
from .affine_norms import KEY as AFFINE_NORM
from .given import Given
from .in_graph import tokenizer_of
from .layouts import format_in, is_stored, stored
from .quantizing import device_for

_WAN_KEYS = {"t5": t5_keys.wan_keys, "clip": clip_keys.wan_keys}
"""Component -> Wan's keys for ComfyUI's; the DiT has the same."""


class StoredModel:
    """A quantized model, read as it is written: a tensor at a time.

    outputs: what there is to write, in the reader's names; tensors_of gives their tensors.
    """

    def __init__(self, given: Given, reader: str):
        """Raises ConvertError where the reader can't have the model."""
        self._given, self._reader, self._weights = given, reader, given.weights
        names = self._weights.names()
        self._formats = {name: _format_for(reader, tensor) for name in names if is_stored(tensor := self._weights.original(name))}
        self._check_expressible(names)
        wan_keys = _WAN_KEYS.get(given.component) if reader == LIGHTX2V else None
        self._sources = wan_keys(names) if wan_keys else {name: (name,) for name in names}
        unchanged = (self._weights.original(name) for name in names if name not in self._formats and name not in given.patches)
        self._dtype = _usual_dtype(given.component, unchanged)
        self._more = self._more_for(given, reader)
        self.outputs = [self._output(key, sources) for key, sources in self._sources.items()]
        self.outputs += [Output(key, key, None, stored_parts(None, each.shape, each.dtype, each.dtype, reader)) for key, each in self._more.items()]

    def _more_for(self, given: Given, reader: str) -> dict[str, torch.Tensor]:
        """What the reader's files have and the model in ComfyUI has not."""
        if reader == COMFYUI:
            return tokenizer_of(given)
        return {clip_keys.LOG_SCALE: clip_keys.log_scale().to(self._dtype or torch.float32)} if given.component == "clip" else {}

    def tensors_of(self, output: Output) -> Mapping[str, torch.Tensor]:
        """What is written of an output, by the suffix behind its layer's name. Raises ConvertError where its dtype can't hold what is baked in."""
        if output.key in self._more:
            return {WHOLE: self._more[output.key]}
        sources = self._sources[output.key]
        if output.format:
            parts = quantized_parts(output.format, _joined(output.format, [self._quantized(name) for name in sources]), self._reader)
        else:
            parts = {WHOLE: self._shaped(output.key, self._float(*sources)).to(output.stored[WHOLE].dtype)}
        if not self._given.patches.keys().isdisjoint(sources):
            check_held(parts, output.key)
        return parts

    def _check_expressible(self, names: Iterable[str]) -> None:
        is_mixed = len({format_.name for format_ in self._formats.values()}) > 1
        for name, format_ in self._formats.items():
            where = f", as which {name.removesuffix('.weight')} is stored" if is_mixed else ""
            check_reader(self._given.component, format_.name, self._reader, where)
        if self._reader == COMFYUI and any(map(AFFINE_NORM.fullmatch, names)):
            raise ConvertError(f"ComfyUI itself does not know LightCompress's extra norms, so for {COMFYUI} it can't be written. Take {LIGHTX2V}.")
        for name, format_ in self._formats.items():
            scale = stored(self._weights.original(name)).scale
            if has_one_scale(self._reader, format_) and name not in self._given.patches and not bool((scale == scale[0]).all()):
                raise ConvertError(
                    f"ComfyUI's own fp8 has one scale a tensor, and this model's {format_.name} one a row, so for {COMFYUI} it can't be written. "
                    f"Take {LIGHTX2V}, whose files this pack reads in ComfyUI, or convert the float file with --for {COMFYUI}."
                )

    def _output(self, key: str, sources: tuple[str, ...]) -> Output:
        tensors = [self._weights.original(name) for name in sources]
        first, format_ = tensors[0], self._formats.get(sources[0])
        shape = (sum(map(len, tensors)), *first.shape[1:]) if len(tensors) > 1 else tuple(self._shaped(key, first).shape)
        return Output(sources[0], key, format_, stored_parts(format_, shape, first.dtype, self._dtype or first.dtype, self._reader))

    def _shaped(self, key: str, tensor: torch.Tensor) -> torch.Tensor:
        return clip_keys.wan_shape(key, tensor) if (self._given.component, self._reader) == ("clip", LIGHTX2V) else tensor

    def _float(self, *names: str) -> torch.Tensor:
        """A float tensor, or the several that are one of the reader's (biases), their outputs one behind the other."""
        tensors = [self._weights.original(name) for name in names]
        merged = [self._given.merged(name, tensor) if name in self._given.patches else tensor for name, tensor in zip(names, tensors, strict=True)]
        return torch.cat([tensor.cpu() for tensor in merged]) if len(merged) > 1 else merged[0]

    def _quantized(self, name: str) -> QuantizedWeight:
        tensor, format_ = self._weights.original(name), self._formats[name]
        if name in self._given.patches:
            return quantize_for(self._reader, format_, self._given.merged(name, tensor.dequantize()))
        weight = stored(tensor)
        if has_one_scale(self._reader, format_):
            return QuantizedWeight(weight.data, weight.scale[0, 0])
        if weight.data.dtype is not format_.dtype:
            there = QuantizedWeight(*(part.to(device_for(tensor.numel())) for part in weight))
            weight = repacked(format_.name, there, (format_.packing,))
        if weight.data.dtype is not format_.dtype:
            raise ConvertError(f"{name} can't be packed as Marlin's kernel, and so LightX2V, reads it: its shape or its scales don't fit.")
        return weight


def _format_for(reader: str, weight: torch.Tensor) -> Format:
    """The format of a quantized weight, in the packing that the reader reads."""
    found = format_in(weight)
    return INT4_MARLIN if (found.name, reader) == (INT4_MARLIN.name, LIGHTX2V) else found


def _usual_dtype(component: str, floats: Iterable[torch.Tensor]) -> torch.dtype | None:
    """That of published files, if it holds all of these exactly; None leaves each in the one that it has."""
    usual = DTYPES[USUAL_DTYPE[component]]
    return usual if all(tensor.dtype is usual or torch.equal(tensor.to(usual).to(tensor.dtype), tensor) for tensor in floats) else None


def _joined(format_: Format, weights: list[QuantizedWeight]) -> QuantizedWeight:
    """Weights as one, their outputs one behind the other."""
    outputs = 0 if format_.packing == PLAIN else 1
    return QuantizedWeight(
        *(torch.cat([part.cpu() for part in parts], dim=outputs) if len(parts) > 1 else parts[0] for parts in zip(*weights, strict=True))
    )
