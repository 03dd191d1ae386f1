"""From a request to a model that ComfyUI can use, with the record of what it is."""

import logging
from collections import Counter
from typing import NamedTuple

import comfy.hooks
import comfy.model_management
import comfy.utils
import torch

from ..convert.settings import Settings
from ..errors import SchemeError
from ..formats import ABSMAX, DTYPES, stored_as
from ..kernels import Selections, select
from ..loaders import Checkpoint, read
from ..loaders.checkpoint import not_quantized, scheme_does_not_fit
from ..loaders.random_weights import is_marked
from ..schemes import AUTO, SCHEMES
from .build import BUILDERS, Built, check_keys
from .first_call import settle_attention
from .folders import open_file
from .linear import QuantizedLinear
from .quantizing import Quantized, float_source, quantize
from .record import KernelUse, ModelRecord, attach
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


def settings_for(request: Request, scaling: str = ABSMAX) -> Settings:
    """How a float model is quantized for a request. Raises CheckpointError where it names no scheme, KernelError where none may run it."""
    if request.scheme not in SCHEMES:
        raise not_quantized(request.path, request.component)
    format_name = SCHEMES[request.scheme].format
    select(request.scheme, format_name, device_of(request.component), request.may_substitute)  # the reason not to run comes before the work
    return Settings(format_name, dtype=None if request.dtype == AUTO else request.dtype, scaling=scaling)


def assemble(request: Request, opened: Quantized, disable_dynamic: bool = False) -> Loaded:
    """The model of a checkpoint that is in memory or mapped. `cached_patcher_init` is left to the caller."""
    bar, checkpoint = comfy.utils.ProgressBar(3), opened.checkpoint
    selections = _select(request, checkpoint)
    bar.update(1)
    dtype = _dtype(request, checkpoint)
    built = BUILDERS[request.component](checkpoint, selections, dtype, request.tokenizer, disable_dynamic)
    _check_keys(checkpoint, built)
    settle_attention(device_of(request.component))
    bar.update(1)
    record = ModelRecord(
        component=request.component, file=request.path, scheme=request.scheme, kernels=_uses(checkpoint, selections),
        dtype=str(dtype).removeprefix("torch."),
        quantized=tuple(checkpoint.weights), float_tensors=tuple(checkpoint.tensors),
        weight_bytes=_weight_bytes(checkpoint, dtype), tokenizer=built.tokenizer, how=opened.how, random=is_marked(checkpoint.metadata),
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


def device_of(component: str) -> torch.device:
    """Where ComfyUI computes the component."""
    return comfy.model_management.get_torch_device() if component == "dit" else comfy.model_management.text_encoder_device()


def _weight_bytes(checkpoint: Checkpoint, dtype: torch.dtype) -> int:
    """What the weights take on the device: the quantized ones as stored, the rest in the compute dtype."""
    stored = sum(part.nbytes for weight in checkpoint.weights.values() for part in weight)
    return stored + sum(tensor.numel() for tensor in checkpoint.tensors.values()) * dtype.itemsize


def _select(request: Request, checkpoint: Checkpoint) -> Selections:
    """The scheme for the layers of its format, and auto for those of the file's other ones."""
    if request.scheme != AUTO and request.scheme not in SCHEMES:
        raise SchemeError(f"There is no scheme {request.scheme}. The schemes are: {AUTO}, {', '.join(SCHEMES)}.")
    own = None if request.scheme == AUTO else SCHEMES[request.scheme].format
    if own and own not in checkpoint.formats:
        raise SchemeError(scheme_does_not_fit(checkpoint, request.scheme, own))
    device = device_of(request.component)
    return {name: select(request.scheme if name == own else AUTO, name, device, request.may_substitute) for name in checkpoint.formats}


def _uses(checkpoint: Checkpoint, selections: Selections) -> tuple[KernelUse, ...]:
    layers = Counter(stored_as(weight).name for weight in checkpoint.weights.values())
    return tuple(
        KernelUse(name, layers[name], selection.kernel.name, selection.kernel.variant, selection.why) for name, selection in selections.items()
    )


def _dtype(request: Request, checkpoint: Checkpoint) -> torch.dtype:
    return dtype_of(request.component, checkpoint) if request.dtype == AUTO else DTYPES[request.dtype]


def dtype_of(component: str, checkpoint: Checkpoint) -> torch.dtype:
    """The dtype of everything that is not quantized; encoders keep their file's if it is a 16-bit one, as their embeddings are large."""
    if component != "dit":
        kept = {tensor.dtype for tensor in checkpoint.tensors.values()} & {torch.bfloat16, torch.float16}
        if len(kept) == 1:
            return kept.pop()
    device = device_of(component)
    if comfy.model_management.should_use_bf16(device):
        return torch.bfloat16
    return torch.float16 if comfy.model_management.should_use_fp16(device) else torch.float32


def _check_keys(checkpoint: Checkpoint, built: Built) -> None:
    given = set(checkpoint.tensors) | {f"{layer}.{end}" for layer in checkpoint.weights for end in ("weight", "weight_scale")}
    layers = ((name, module) for name, module in built.module.named_modules() if isinstance(module, QuantizedLinear))
    empty = {f"{name}.{parameter}" for name, module in layers for parameter in module.missing()}
    check_keys(checkpoint.path, given, set(built.module.state_dict()) | empty)
