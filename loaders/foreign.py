"""What a file is that the pack does not read, so that the error can say it and name the node that does."""

from collections.abc import Mapping
from typing import NamedTuple

import torch


class Foreign(NamedTuple):
    """mark: the end of a key that gives the kind away; what: the kind, behind "it is"; then: what the user can do."""

    mark: str
    what: str
    then: str


_OTHER_FILE = "Load an fp8 or int8 file of the model."


QUANTIZED_OTHERWISE = (
    Foreign(".weight_global_scale", "quantized to nvfp4, which is none of LightQuant's formats", _OTHER_FILE),
    Foreign(".weight_scale_2", "quantized to nvfp4, which is none of LightQuant's formats", _OTHER_FILE),
    Foreign(".qweight", "a GPTQ or AWQ file, which is none of LightQuant's formats", _OTHER_FILE),
    *(
        Foreign(mark, "quantized by bitsandbytes, which is none of LightQuant's formats", _OTHER_FILE)
        for mark in (".absmax", ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4", ".SCB")
    ),
)


def quantized_otherwise(tensors: Mapping[str, torch.Tensor]) -> Foreign | None:
    """The way in which these tensors are quantized, if it is one that the pack does not read."""
    return next((kind for kind in QUANTIZED_OTHERWISE if any(key.endswith(kind.mark) for key in tensors)), None)


def describe_foreign(tensors: Mapping[str, torch.Tensor]) -> str:
    """A noun phrase for tensors that are no component of the pack's."""
    if not tensors:
        return "an empty file"
    if any(key.startswith("lora_") or ".lora_" in key for key in tensors):
        return "a LoRA"
    kind = quantized_otherwise(tensors)
    return f"no model that LightQuant knows ({f'{kind.what}; ' if kind else ''}its first keys: {', '.join(sorted(tensors)[:3])})"
