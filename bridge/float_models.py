"""Models that are not quantized, for LightX2V's configurations: the DiT by ComfyUI's own code with the checks that it lacks, the encoders, whose
files ComfyUI can't read, as the quantized ones are built.
"""

import comfy.sd

from ..errors import CheckpointError
from ..formats import FORMATS
from ..loaders.checkpoint import check_blocks, check_prefix, read, without_prefix
from ..loaders.scaled import CORE_HEADER, CORE_TAG, MARKER, SCALES
from ..loaders.storage import open_storage
from .build import BUILDERS, Built, check_keys
from .deciding import dtype_of
from .folders import open_file


def load_float_dit(path: str, disable_dynamic: bool = False):
    """The MODEL of a DiT in any storage form. Raises CheckpointError for one that is damaged, incomplete, or quantized in a way that is not ours.

    What ComfyUI itself quantized says so by its marks, and is left to ComfyUI.
    """
    tensors, metadata = open_storage(path, open_file)
    metadata = metadata or {}
    check_prefix(path, tensors)
    bare = without_prefix(tensors)
    check_blocks(path, bare)
    is_cores = MARKER in bare or CORE_HEADER in metadata or any(key.endswith(CORE_TAG) for key in bare)
    scales = sorted(key for key in bare if key.endswith(SCALES))
    if scales and not is_cores:
        raise CheckpointError(
            f"LightQuant can't load {path}: its weights have scales ({scales[0]} {list(bare[scales[0]].shape)}) that fit none of the formats "
            f"{', '.join(FORMATS)}, and without them it would give noise. Take one of LightX2V's files, or a float one."
        )
    patcher = comfy.sd.load_diffusion_model_state_dict(dict(tensors), metadata=metadata, disable_dynamic=disable_dynamic)
    if patcher is None:
        raise CheckpointError(f"LightQuant can't load {path}: this ComfyUI does not know the model. Update ComfyUI, or pick another file.")
    if not is_cores:
        check_keys(path, set(bare), set(patcher.model.diffusion_model.state_dict()))
    patcher.cached_patcher_init = (load_float_dit, (path,))
    return patcher


def load_float_encoder(component: str, path: str, tokenizer: str | None = None):
    """The CLIP or CLIP_VISION of a text or image encoder (t5, clip) in Wan's own names, computed by ComfyUI's layers. Raises CheckpointError."""
    return _build_encoder(component, path, tokenizer).model


def _build_encoder(component: str, path: str, tokenizer: str | None, disable_dynamic: bool = False) -> Built:
    checkpoint = read(path, component, open_file)
    if checkpoint.format is not None:
        raise CheckpointError(f"LightQuant can't load {path} as a float model: it is stored as {checkpoint.format}. Load it with its own loader.")
    built = BUILDERS[component](checkpoint, {}, dtype_of(component, checkpoint), tokenizer, disable_dynamic)
    check_keys(path, set(checkpoint.tensors), set(built.module.state_dict()))
    built.patcher.cached_patcher_init = (_encoder_patcher, (component, path, tokenizer))
    return built


def _encoder_patcher(component: str, path: str, tokenizer: str | None, disable_dynamic: bool = False):
    return _build_encoder(component, path, tokenizer, disable_dynamic).patcher
