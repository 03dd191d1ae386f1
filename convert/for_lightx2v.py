"""What LightX2V's own loaders need of an encoder's file and ComfyUI's files lack: Wan's names, and q, k and v of CLIP as one tensor."""

from ..errors import CheckpointError, ConvertError
from ..loaders import clip_keys, t5_keys
from ..loaders.checkpoint import SPIECE
from ..loaders.components import UNUSED_T5, component_of
from .source import Source

_WAYS = {
    "t5": ("token_embedding.weight", t5_keys.wan_keys, lambda key, tensor: tensor, (UNUSED_T5, SPIECE)),
    "clip": ("visual.patch_embedding.weight", clip_keys.wan_keys, clip_keys.wan_shape, ("vision_model.embeddings.position_ids",)),
}
"""Component -> a key of a file in Wan's names, which need no change; Wan's keys for ComfyUI's; Wan's shape; ComfyUI's keys that Wan's files lack."""


def name_for_lightx2v(source: Source) -> None:
    """Give an encoder's source Wan's names, by which alone LightX2V finds its tensors. Nothing is done for a DiT, which has them as it is renamed.

    Raises ConvertError where the source has keys that Wan's model has no place for, or lacks one of q, k and v.
    """
    component = component_of(source.headers)
    if component is None or component.name not in _WAYS:
        return
    mark, wan_keys, wan_shape, unused = _WAYS[component.name]
    if mark in source.headers:
        return
    try:
        parts = wan_keys([key for key in source.headers if key not in unused])
    except CheckpointError as problem:
        raise ConvertError(f"LightQuant can't convert {source.path}: {problem}. Take the model's published file.") from problem
    absent = sorted({key for keys in parts.values() for key in keys} - source.headers.keys())
    if absent:
        raise ConvertError(f"LightQuant can't convert {source.path}: it has no {absent[0]}. The file is incomplete: fetch it again.")
    source.put_together(parts, wan_shape)
    if component.name == "clip":
        source.add(clip_keys.LOG_SCALE, clip_keys.log_scale())
