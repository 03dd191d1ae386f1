"""What a loader does with a checkpoint, before anything of it is loaded: which kernels, which dtype, how a float one is quantized.

The loaders act on it, and choice.py shows it; both ask here, so that they can't differ.
"""

from collections import Counter

import comfy.model_management
import torch

from ..convert.settings import Settings
from ..errors import SchemeError
from ..formats import ABSMAX, DTYPES, stored_as
from ..kernels import Selection, Selections, select
from ..loaders import Checkpoint
from ..loaders.checkpoint import not_quantized, scheme_does_not_fit
from ..schemes import AUTO, SCHEMES
from .record import KernelUse
from .request import Request


def device_of(component: str) -> torch.device:
    """Where ComfyUI computes the component."""
    return comfy.model_management.get_torch_device() if component == "dit" else comfy.model_management.text_encoder_device()


def settings_for(request: Request, scaling: str = ABSMAX, checking: bool = True) -> Settings:
    """How a float model is quantized for a request. checking: as for kernels.select.

    Raises CheckpointError where it names no scheme, KernelError where none may run it.
    """
    if request.scheme not in SCHEMES:
        raise not_quantized(request.path, request.component)
    format_name = SCHEMES[request.scheme].format
    _select(request, request.scheme, format_name, checking)  # the reason not to run comes before the work
    return Settings(format_name, dtype=None if request.dtype == AUTO else request.dtype, scaling=scaling)


def selections_for(request: Request, checkpoint: Checkpoint, checking: bool = True) -> Selections:
    """The scheme for the layers of its format, and auto for those of the file's other ones. checking: as for kernels.select.

    Raises SchemeError where the scheme is none or fits no layer, KernelError where none may run them.
    """
    if request.scheme != AUTO and request.scheme not in SCHEMES:
        raise SchemeError(f"There is no scheme {request.scheme}. The schemes are: {AUTO}, {', '.join(SCHEMES)}.")
    own = None if request.scheme == AUTO else SCHEMES[request.scheme].format
    if own and own not in checkpoint.formats:
        raise SchemeError(scheme_does_not_fit(checkpoint, request.scheme, own))
    return {name: _select(request, request.scheme if name == own else AUTO, name, checking) for name in checkpoint.formats}


def _select(request: Request, scheme: str, format_name: str, checking: bool) -> Selection:
    return select(scheme, format_name, device_of(request.component), request.may_substitute, request.preferred, checking)


def uses_of(checkpoint: Checkpoint, selections: Selections) -> tuple[KernelUse, ...]:
    """The same for the model's record, with how many layers each has."""
    layers = Counter(stored_as(weight).name for weight in checkpoint.weights.values())
    return tuple(
        KernelUse(name, layers[name], selection.kernel.name, selection.kernel.variant, selection.why) for name, selection in selections.items()
    )


def compute_dtype(request: Request, checkpoint: Checkpoint) -> torch.dtype:
    """The dtype of everything that is not quantized, as the request has it."""
    return dtype_of(request.component, checkpoint) if request.dtype == AUTO else DTYPES[request.dtype]


def dtype_of(component: str, checkpoint: Checkpoint) -> torch.dtype:
    """The same where auto decides; encoders keep their file's if it is a 16-bit one, as their embeddings are large."""
    if component != "dit":
        kept = {tensor.dtype for tensor in checkpoint.tensors.values()} & {torch.bfloat16, torch.float16}
        if len(kept) == 1:
            return kept.pop()
    device = device_of(component)
    if comfy.model_management.should_use_bf16(device):
        return torch.bfloat16
    return torch.float16 if comfy.model_management.should_use_fp16(device) else torch.float32


def weight_bytes(checkpoint: Checkpoint, dtype: torch.dtype) -> int:
    """What the weights take on the device: the quantized ones as stored, the rest in the compute dtype."""
    stored = sum(part.nbytes for weight in checkpoint.weights.values() for part in weight)
    return stored + sum(tensor.numel() for tensor in checkpoint.tensors.values()) * dtype.itemsize
