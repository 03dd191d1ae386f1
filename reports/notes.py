"""What a file's headers show that a user should know."""

from collections.abc import Mapping, Sequence

from ..loaders.blocks import absent_blocks
from ..loaders.checkpoint import SPIECE
from ..loaders.files import Header
from ..loaders.foreign import quantized_otherwise
from ..loaders.scaled import CORE_TAG, MARKER
from . import layers

Headers = Mapping[str, Header]


def notes_on(tensors: Headers, others: int) -> tuple[str, ...]:
    """Sentences about a model's tensors. others: how many more its file holds."""
    scaled = [layer for layer in layers.layers_of(tensors) if layer.scale_dtype]
    foreign = quantized_otherwise(tensors)
    if foreign:
        return (f"it is {foreign.what}. {foreign.then}", *_others(others))
    shared = [layer for layer in scaled if layer.precision.endswith(layers.A_TENSOR)]
    rounded = [layer for layer in scaled if layer.scale_dtype in ("bf16", "fp16")]
    plain = [key for key, header in tensors.items() if key != MARKER and layers.kind_of(key, header, tensors) == layers.UNSCALED]
    precisions = {layer.precision for layer in scaled}
    said = (
        (shared, f"{len(shared)} of {len(scaled)} quantized layers have one scale a tensor, as ComfyUI writes them; LightX2V's have one a row"),
        (len(precisions) > 1, f"its quantized layers are stored in {len(precisions)} ways: {'; '.join(sorted(precisions))}"),
        (plain, f"{len(plain)} 8-bit weights have no scale: a plain cast of a float model, which ComfyUI's own loader reads"),
        (rounded, f"the scales of {len(rounded)} layers are stored in 16 bits, which costs bf16 ones up to 0.4 % a row"),
        (any(key.endswith(CORE_TAG) for key in tensors), "ComfyUI's tags (comfy_quant) say how each layer is stored"),
        (SPIECE in tensors, "it carries its tokenizer"),
        (any(".affine_norm" in key for key in tensors), "exported by LightCompress, with norms of its own before the quantized layers (affine_norm)"),
    )
    return (*(text for applies, text in said if applies), *_others(others))


def _others(count: int) -> list[str]:
    return [f"{count} more tensors lie in the file beside this model's"] if count else []


def damage_in(tensors: Headers, formats: Sequence[str]) -> list[str]:
    """What no loader can mend in a component. formats: those of its layers that are the pack's."""
    weights = {key: tensors.get(key.removesuffix(end) + ".weight") for key in tensors for end in layers.SCALES if key.endswith(end)}
    orphans = [key for key, weight in weights.items() if weight is None]
    misshapen = [
        key for key, weight in weights.items()
        if weight and formats and layers.granularity(weight.shape, tensors[key].shape) == layers.UNKNOWN
    ]  # fmt: skip
    said = {"blocks are absent": absent_blocks(tensors), "scales have no weight": orphans, "scales don't have the shape of their weight": misshapen}
    return [f"{len(names)} {what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" for what, names in said.items() if names]
