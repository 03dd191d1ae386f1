"""What can be converted: the float weights of one of the components, which its headers tell."""

from collections.abc import Mapping

from ..errors import ConvertError
from ..loaders.checkpoint import check_prefix, without_prefix
from ..loaders.components import Component, component_of
from ..loaders.files import Header
from ..loaders.foreign import describe_foreign, quantized_otherwise
from ..loaders.scaled import SCALES, bare_name
from .names import into_original


def float_component(path: str, headers: Mapping[str, Header]) -> Component:
    """The component that a source's headers are of. Raises ConvertError where they are of none, or of one whose weights are codes already."""
    keys = [bare_name(key) for key in headers]
    component = component_of(map(into_original(keys), keys))
    if component is None:
        raise ConvertError(f"LightQuant can't convert {path}: it is {describe_foreign(headers)}, where a Wan DiT, its T5 or its CLIP is needed.")
    check_prefix(path, headers)
    own = without_prefix(headers)
    mark = next((key for key in own if key.endswith(SCALES)), None)
    other = quantized_otherwise(own)
    if mark:
        raise ConvertError(f"LightQuant can't convert {path}: it is quantized already ({mark}). Take the float model.")
    if other:
        raise ConvertError(f"LightQuant can't convert {path}: it is {other.what}. Take the float model.")
    unknown = next(((key, header.unknown) for key, header in own.items() if header.unknown), None)
    if unknown:
        raise ConvertError(f"LightQuant can't convert {path}: {unknown[0]} is stored as {unknown[1]}, which it does not know. Take the float model.")
    codes = [key for key, header in own.items() if key.endswith(".weight") and len(header.shape) > 1 and not header.dtype.is_floating_point]
    if codes:
        dtype = str(own[codes[0]].dtype).removeprefix("torch.")
        raise ConvertError(
            f"LightQuant can't convert {path}: {len(codes)} of its weights are no float numbers, such as {codes[0]} in {dtype}, "
            "and what these codes stand for is not known. Take the float model."
        )
    return component


def of_others(headers: Mapping[str, Header]) -> list[str]:
    """The keys of other models in the file: of an all-in-one checkpoint, whatever lacks the prefix of its DiT."""
    own = set(without_prefix({key: key for key in headers}).values())
    return [key for key in headers if key not in own]
