"""Building MODEL, CLIP and CLIP_VISION from a checkpoint, their sizes read from the tensors' shapes."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import comfy.sd
import comfy.text_encoders.wan
import folder_paths
import torch
from comfy.supported_models_base import ClipTarget

from ..errors import CheckpointError
from ..kernels import Selections
from ..loaders import Checkpoint
from ..loaders.tokenizer import find_tokenizer
from . import folders
from .affine_norms import add_affine_norms, take_affine_norms
from .clip_vision import QuantizedClipVision
from .layouts import wrap
from .linear import operations_for
from .packing import in_packing


class Built(NamedTuple):
    """model: what ComfyUI passes around; patcher: its ModelPatcher; module: the torch module whose keys are the checkpoint's.

    tokenizer: where a text encoder's tokenizer came from.
    """

    model: object
    patcher: object
    module: torch.nn.Module
    tokenizer: str | None = None


def build_dit(checkpoint: Checkpoint, selections: Selections, dtype: torch.dtype, tokenizer: str | None, disable_dynamic: bool) -> Built:
    """A MODEL. ComfyUI recognises the Wan variant by the shapes and keys."""
    options = {"custom_operations": operations_for(selections), "dtype": dtype}
    state_dict = _state_dict(checkpoint, selections, dtype)
    affine_norms = take_affine_norms(state_dict)
    with _naming_the_file(checkpoint):
        patcher = comfy.sd.load_diffusion_model_state_dict(
            state_dict, model_options=options, metadata=dict(checkpoint.metadata), disable_dynamic=disable_dynamic
        )
        if patcher is None:
            raise CheckpointError(
                f"LightQuant can't load {checkpoint.path}: this ComfyUI does not know the model. Update ComfyUI, or pick another file."
            )
        add_affine_norms(patcher.model.diffusion_model, affine_norms)
    return Built(patcher, patcher, patcher.model.diffusion_model)


def build_t5(checkpoint: Checkpoint, selections: Selections, dtype: torch.dtype, tokenizer: str | None, disable_dynamic: bool) -> Built:
    """A CLIP of type wan."""
    found = find_tokenizer(checkpoint, tokenizer, folders.tokenizer_paths(), folders.read_spiece)
    state_dict = _state_dict(checkpoint, selections, dtype)
    with _naming_the_file(checkpoint):
        options = {"custom_operations": operations_for(selections), "umt5xxl_model_config": _t5_config(state_dict), "dtype": dtype}
        clip = comfy.sd.CLIP(
            ClipTarget(comfy.text_encoders.wan.WanT5Tokenizer, comfy.text_encoders.wan.te(dtype_t5=dtype)),
            embedding_directory=folder_paths.get_folder_paths("embeddings"),
            tokenizer_data={"spiece_model": found.model},
            parameters=sum(tensor.numel() for tensor in state_dict.values()),
            state_dict=[state_dict],
            model_options=options,
            disable_dynamic=disable_dynamic,
        )
    module = clip.cond_stage_model.umt5xxl.transformer
    return Built(clip, clip.patcher, module, tokenizer=found.source)


def build_clip(checkpoint: Checkpoint, selections: Selections, dtype: torch.dtype, tokenizer: str | None, disable_dynamic: bool) -> Built:
    """A CLIP_VISION."""
    state_dict = _state_dict(checkpoint, selections, dtype)
    with _naming_the_file(checkpoint):
        model = QuantizedClipVision(_clip_config(state_dict), dtype, operations_for(selections), disable_dynamic)
        model.load_sd(state_dict)
    return Built(model, model.patcher, model.model)


BUILDERS: dict[str, Callable[..., Built]] = {"dit": build_dit, "t5": build_t5, "clip": build_clip}


def _state_dict(checkpoint: Checkpoint, selections: Selections, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Float tensors as they are and quantized weights wrapped, so that shapes and dtypes read as those of the float model."""
    weights = in_packing(checkpoint.weights, selections)
    return {**checkpoint.tensors, **{f"{layer}.weight": wrap(weight, dtype) for layer, weight in weights.items()}}


def _t5_config(tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    first = "encoder.block.0.layer.{}."
    heads = tensors[first.format(0) + "SelfAttention.relative_attention_bias.weight"].shape[1]
    return {
        "num_layers": _count(tensors, r"encoder\.block\.(\d+)\."),
        "vocab_size": tensors["shared.weight"].shape[0],
        "d_model": tensors["shared.weight"].shape[1],
        "num_heads": heads,
        "d_kv": tensors[first.format(0) + "SelfAttention.q.weight"].shape[0] // heads,
        "d_ff": tensors[first.format(1) + "DenseReluDense.wi_0.weight"].shape[0],
    }


VIT_H_HEAD_WIDTH = 80
"""Not in the shapes: the family fixes it."""


def _clip_config(tensors: Mapping[str, torch.Tensor]) -> dict[str, object]:
    hidden, channels, patch, _ = tensors["vision_model.embeddings.patch_embedding.weight"].shape
    if hidden % VIT_H_HEAD_WIDTH:
        raise CheckpointError(f"LightQuant reads Wan's ViT-H alone, and this is a CLIP of width {hidden}. Load it with ComfyUI's own node.")
    positions = tensors["vision_model.embeddings.position_embedding.weight"].shape[0]
    return {
        "model_type": "clip_vision_model",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "hidden_size": hidden,
        "num_channels": channels,
        "patch_size": patch,
        "image_size": round((positions - 1) ** 0.5) * patch,
        "num_attention_heads": hidden // VIT_H_HEAD_WIDTH,
        "num_hidden_layers": _count(tensors, r"vision_model\.encoder\.layers\.(\d+)\."),
        "intermediate_size": tensors["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "projection_dim": tensors["visual_projection.weight"].shape[0],
    }


def _count(tensors: Mapping[str, torch.Tensor], pattern: str) -> int:
    return 1 + max(int(found[1]) for key in tensors if (found := re.match(pattern, key)))


def check_keys(path: str, given: set[str], expected: set[str]) -> None:
    """ComfyUI only warns of keys that a model lacks or doesn't know, and samples garbage; the pack raises CheckpointError."""
    unknown, missing = sorted(given - expected), sorted(expected - given)
    if unknown or missing:
        kinds = ((unknown, "that this model does not have"), (missing, "missing"))
        problems = [f"{len(keys)} keys {what}: {', '.join(keys[:5])}" for keys, what in kinds if keys]
        raise CheckpointError(
            f"LightQuant can't load {path}: it has {' and '.join(problems)}. The file is incomplete or of a variant that this ComfyUI "
            "does not know: fetch it again, or update ComfyUI."
        )


@contextlib.contextmanager
def _naming_the_file(checkpoint: Checkpoint) -> Iterator[None]:
    """Turns what ComfyUI raises over a checkpoint's keys and shapes into an error that names the file."""
    try:
        yield
    except KeyError as problem:
        raise CheckpointError(
            f"LightQuant can't load {checkpoint.path}: the key {problem} is missing. The file is incomplete: fetch it again."
        ) from problem
    except RuntimeError as problem:
        if "state_dict" not in str(problem):
            raise
        lines = [line.strip() for line in str(problem).splitlines()]
        raise CheckpointError(
            f"LightQuant can't load {checkpoint.path}: its tensors do not fit the model they describe ({'; '.join(lines[1:4])}). "
            "Fetch the file again."
        ) from problem
