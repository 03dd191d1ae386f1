"""From a request to a model that ComfyUI can use, with the record of what it is."""

import logging
from typing import NamedTuple

import comfy.hooks
import comfy.model_management
import comfy.utils

from ..loaders import Checkpoint, read
from ..loaders.random_weights import is_marked
from .build import BUILDERS, Built, check_keys
from .deciding import compute_dtype, device_of, selections_for, settings_for, uses_of, weight_bytes
from .first_call import settle_attention
from .folders import open_file
from .linear import QuantizedLinear
from .quantizing import Quantized, float_source, quantize
from .record import ModelRecord, attach
from .request import Request

log = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """model: what the node gives out (ModelPatcher, CLIP or ClipVisionModel); patcher: its ModelPatcher."""

    model: object
    patcher: object
    record: ModelRecord


def load(request: Request, disable_dynamic: bool = False) -> Loaded:
    """Load a quantized checkpoint, or one that is quantized meanwhile, as ComfyUI's own kind of model.

    Raises CheckpointError, SchemeError, KernelError or ConvertError; nothing of the model is kept then.
    """
    source = float_source(request.path, request.component)
    if source is None:
        opened = Quantized(read(request.path, request.component, open_file), None)
    else:
        opened = quantize(source, request.component, settings_for(request), "while loading")
    loaded = assemble(request, opened, disable_dynamic)
    # TorchCompileModel, hooks and the multi-GPU nodes ask for a second, independent copy of the weights this way.
    loaded.patcher.cached_patcher_init = (reload_patcher, (request,))
    log.info("LightQuant: %s", summary(loaded.record))
    return loaded


def assemble(request: Request, opened: Quantized, disable_dynamic: bool = False) -> Loaded:
    """The model of a checkpoint that is in memory or mapped. `cached_patcher_init` is left to the caller."""
    bar, checkpoint = comfy.utils.ProgressBar(3), opened.checkpoint
    selections = selections_for(request, checkpoint)
    bar.update(1)
    dtype = compute_dtype(request, checkpoint)
    built = BUILDERS[request.component](checkpoint, selections, dtype, request.tokenizer, disable_dynamic)
    _check_keys(checkpoint, built)
    settle_attention(device_of(request.component))
    bar.update(1)
    record = ModelRecord(
        component=request.component, file=request.path, scheme=request.scheme, kernels=uses_of(checkpoint, selections),
        dtype=str(dtype).removeprefix("torch."),
        quantized=tuple(checkpoint.weights), float_tensors=tuple(checkpoint.tensors),
        weight_bytes=weight_bytes(checkpoint, dtype), tokenizer=built.tokenizer, how=opened.how, random=is_marked(checkpoint.metadata),
    )  # fmt: skip
    attach(built.patcher, record)
    # The other mode keeps the patched weights of every hook as floats, which can't be copied back into a quantized weight.
    built.patcher.hook_mode = comfy.hooks.EnumHookMode.MinVram
    bar.update(1)
    return Loaded(built.model, built.patcher, record)


def reload_patcher(request: Request, disable_dynamic: bool = False):
    """The patcher of a fresh load; ComfyUI's factory for `cached_patcher_init`."""
    return load(request, disable_dynamic).patcher


def summary(record: ModelRecord) -> str:
    """The record in a few lines, for the node and the log."""
    lines = [
        f"kernel {record.kernel}, {record.format}, {record.weight_bytes / 2**30:.2f} GiB of weights ({len(record.quantized)} quantized layers)",
        record.file + (f", {record.how}" if record.how else ""),
    ]
    if len(record.kernels) == 1:
        lines.append(f"why this kernel: {record.why}")
    else:
        lines += [f"why {use.kernel} for the {use.layers} layers of {use.format}: {use.why}" for use in record.kernels]
    if record.tokenizer:
        lines.append(f"tokenizer: {record.tokenizer}")
    if any(".affine_norm" in key for key in record.float_tensors):
        lines.append("exported by LightCompress with factors in its weights: a LoRA that was made for the float model does not fit them")
    return "\n".join(lines)


def _check_keys(checkpoint: Checkpoint, built: Built) -> None:
    given = set(checkpoint.tensors) | {f"{layer}.{end}" for layer in checkpoint.weights for end in ("weight", "weight_scale")}
    layers = ((name, module) for name, module in built.module.named_modules() if isinstance(module, QuantizedLinear))
    empty = {f"{name}.{parameter}" for name, module in layers for parameter in module.missing()}
    check_keys(checkpoint.path, given, set(built.module.state_dict()) | empty)
