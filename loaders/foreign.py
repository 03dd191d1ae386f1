"""What a file is that the pack does not read, so that the error can say it and name the node that does."""

from collections.abc import Mapping
from typing import NamedTuple

import torch


class Foreign(NamedTuple):
    """mark: the end of a key that gives the kind away; what: the sentence for the user."""

    mark: str
    what: str


QUANTIZED_OTHERWISE = (
    Foreign(".comfy_quant", "it is quantized in ComfyUI's own way. Load it with ComfyUI's own loader."),
    Foreign("scaled_fp8", 'it is one of LightX2V\'s "_comfyui" files or another of ComfyUI\'s scaled fp8 files. Load it with ComfyUI\'s own loader.'),
    Foreign(".scale_weight", "it is one of ComfyUI's scaled fp8 files. Load it with ComfyUI's own loader."),
    Foreign(".weight_global_scale", "it is quantized to nvfp4, which is none of LightQuant's formats. Load an fp8 or int8 file of the model."),
    Foreign(".weight_scale_2", "it is quantized to nvfp4, which is none of LightQuant's formats. Load an fp8 or int8 file of the model."),
    Foreign("affine_norm1.weight", "it was exported by LightCompress with extra norms, which this version does not read yet."),
    Foreign(".qweight", "it is a GPTQ or AWQ file, which is none of LightQuant's formats. Load an fp8 or int8 file of the model."),
)


def describe_foreign(tensors: Mapping[str, torch.Tensor], only_quantization: bool = False) -> str:
    """A phrase for what these tensors are; with only_quantization, empty unless they are quantized in another way."""
    for kind in QUANTIZED_OTHERWISE:
        if any(key.endswith(kind.mark) for key in tensors):
            return kind.what if only_quantization else "a model of another family, " + kind.what.removeprefix("it is ").rstrip(".")
    if only_quantization:
        return ""
    if not tensors:
        return "an empty file"
    if any(key.startswith(("lora_", "diffusion_model.blocks.0.lora")) or ".lora_" in key for key in tensors):
        return "a LoRA"
    return f"no model that LightQuant knows (its first keys: {', '.join(sorted(tensors)[:3])})"
