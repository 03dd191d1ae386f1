"""The scheme names of LightX2V's configurations: ours, the encoders' short names, and those that are refused, each with what to take instead."""

from ..schemes import ENCODER_ALIASES, SCHEMES, schemes_of

_FOREIGN: tuple[tuple[str, str, str | None], ...] = (
    ("nvfp4", "4-bit floats for RTX 50 and Blackwell, a format that LightQuant does not read", None),
    ("mxfp", "a microscaling format for RTX 50 and Blackwell that LightQuant does not read", None),
    ("gguf-", "a GGUF file, which a GGUF loader such as ComfyUI-GGUF loads", None),
    ("fp8-pertensor", "fp8 with one fixed scale for a layer's activations, which LightQuant does not have", None),
    ("fp8", "a kernel of another package or device", "fp8-channel"),
    ("int8", "a kernel of another package or device", "int8-channel"),
)
"""Beginning of the name -> what it is, and the format of its files where that is one of ours."""


def scheme_in(name: str, key: str, component: str) -> tuple[str | None, str]:
    """Our scheme of this name and an empty text; or None and, in words, why it is refused and which schemes fit instead."""
    ours = ENCODER_ALIASES.get(name, name) if component != "dit" else name
    if ours in SCHEMES:
        return ours, ""
    known = ((what, format_name) for start, what, format_name in _FOREIGN if name.startswith(start))
    what, format_name = next(known, ("none of LightX2V's names either", None))
    if format_name:
        instead = f"Its files are {format_name}: set {key} to one of {', '.join(schemes_of(format_name))}."
    else:
        instead = f"Take an fp8 or int8 checkpoint of the model and set {key} to one of {', '.join(SCHEMES)}."
    return None, f"LightQuant has no scheme {name}, which {key} asks for: that is {what}. {instead}"
