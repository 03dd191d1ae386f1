"""What a model file is, told from its name alone: for names as published and for those that users give their files."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from .files import PICKLED, SAFETENSORS


class Named(NamedTuple):
    """What a name says.

    component: dit, t5, clip, lora, vae or tokenizer; format: of its 8-bit weights, None where the name speaks of none;
    folder: ComfyUI's folder type for it; expert: "high" or "low" for one of Wan2.2 A14B's two; family: such as "wan2.1 i2v 480p", "" if unsaid.
    """

    component: str
    format: str | None
    folder: str
    expert: str | None
    family: str


def _words(*patterns: str) -> re.Pattern:
    """Any of the patterns as a word of its own: names put _, -, . and blanks between words."""
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(patterns)})(?![a-z0-9])", re.IGNORECASE)


_COMPONENTS = (
    # The first that fits is taken: a LoRA or a VAE carries its model's name as well.
    ("lora", "loras", _words("loras?", r"lora_rank\d+", r"rank_?\d+")),
    ("vae", "vae", _words("vae", r"lightvae\w*", r"lighttae\w*", r"tae\w*")),
    ("tokenizer", "text_encoders", re.compile(r"^(?:spiece\.model|tokenizer(?:_config)?\.json|special_tokens_map\.json)$", re.IGNORECASE)),
    ("clip", "clip_vision", _words(r"models_clip", r"clip[_-](?:fp8|int8|vision)", "vit[_-]?h(?:uge)?")),
    ("t5", "text_encoders", _words("u?mt5", "models_t5")),
    ("dit", "diffusion_models", _words(r"wan[_-]?2[._]?[12]", r"diffusion_pytorch_model", r"(?:i|t|ti|flf|s)2v(?:[_-]?a?\d+b)?")),
)
"""Component, ComfyUI's folder type, and what its names hold."""

_FORMATS = (
    # Kept by a cast and without scales: "e4m3fn" or "e5m2" where nothing says "scaled".
    (None, re.compile(r"^(?!.*scaled).*(?:e4m3fn|e5m2)", re.IGNORECASE)),
    ("int8-channel", _words("int8")),
    ("fp8-channel", _words("fp8")),
)
"""Format and what the names of its files hold; the first that fits is taken."""

_FAMILY = (
    (_words(r"wan[_-]?2[._]?([12])"), "wan2.{}"),
    (_words(r"(i2v|t2v|ti2v|flf2v|s2v|vace|animate)(?:[_-]?a?\d+b)?"), "{}"),
    (re.compile(r"(?<![a-z0-9])(?:[a-z]+2v)?[_-]?(a?\d+(?:[._]\d)?b)(?![a-z0-9])", re.IGNORECASE), "{}"),
    (_words(r"(480p|720p)"), "{}"),
)
"""Where each word of the family stands, and how it is written."""

_PART = re.compile(r"(?:block_\d+|non_block|.*_part\d+|(?:distill_)?model|diffusion_pytorch_model.*)\.\w+", re.IGNORECASE)
"""Files that only the name of their folder tells about."""

_NO_NOISE = r"(?!(?i:[ _.-]?(?:v?ram|mem|quality|res|detail|rank|steps?|motion|poly|cfg|fps)))"
"""What makes of a word before it another matter: low_vram."""

_EXPERTS = (
    re.compile(r"(?<![a-z])(high|low)[ _.-]?noise", re.IGNORECASE),
    re.compile(rf"(?<![a-z])(high|low)(?![a-z]){_NO_NOISE}", re.IGNORECASE),
    re.compile(rf"(?<![A-Z])(HIGH|LOW)(?![A-Z]){_NO_NOISE}"),
)
"""How names tell the expert, the surest way first: high_noise; HIGH between other words; HIGH glued to one."""


def expert_of(path: str) -> str | None:
    """Which expert of Wan2.2 A14B a file or folder is: "high", "low", or None where neither its name nor its folder's says one of the two."""
    for part in _last_two(path):
        for pattern in _EXPERTS:
            found = {match.lower() for match in pattern.findall(part)}
            if len(found) == 1:
                return found.pop()
    return None


def with_expert(name: str, expert: str, other: str) -> str:
    """A name, without a path before it, that says the other expert where it says the one: as a word of its own, in the same letter case."""

    def exchanged(found: re.Match) -> str:
        said = found[1]
        if said.lower() != expert:
            return found[0]
        return (other.upper() if said.isupper() else other.capitalize() if said[0].isupper() else other) + found[0][len(said) :]

    for pattern in _EXPERTS:
        name = pattern.sub(exchanged, name)
    return name


def recognise(name: str) -> Named | None:
    """What a file or folder is by its name, or by its folder's where it is a part; None if the name does not tell. A path may stand before it."""
    parts = _last_two(name)
    # A part says least of all: what its folder is called comes first.
    for part in reversed(parts) if _PART.fullmatch(parts[0]) else parts[:1]:
        for component, folder, pattern in _COMPONENTS:
            if pattern.search(part):
                return Named(component, _format_of(part), folder, expert_of(name) if component in ("dit", "lora") else None, _family_of(part))
    return None


def models_for(component: str, names: Iterable[str]) -> list[str]:
    """The model files among the names that may be the component's.

    Only pickles are told by their names: opening one takes long, while the header of a .safetensors file says what it is.
    """
    models = (name for name in names if name.lower().endswith(SAFETENSORS + PICKLED))
    return [name for name in models if name.lower().endswith(SAFETENSORS) or (known := recognise(name)) is None or known.component == component]


def _format_of(name: str) -> str | None:
    return next((format_name for format_name, pattern in _FORMATS if pattern.search(name)), None)


def _family_of(name: str) -> str:
    found = [(pattern.search(name), written) for pattern, written in _FAMILY]
    return " ".join(written.format(match[1].lower().replace("_", ".")) for match, written in found if match)


def _last_two(path: str) -> list[str]:
    """The path's last name, then its folder's; Windows paths too."""
    parts = [part for part in re.split(r"[\\/]", path) if part not in ("", ".")]
    return [*reversed(parts[-2:])] or [""]
