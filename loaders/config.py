"""A LightX2V configuration as a description: which models and LoRAs it asks for, and what becomes of each of its keys.

LightX2V takes the task and the model folder on its command line, so neither stands in the file.
"""

import math
from dataclasses import dataclass

from . import config_json
from .config_keys import QWEN_KEYS, READS
from .config_reader import Note, Reader
from .config_schemes import scheme_in
from .wan_folder import EXPERT_FOLDERS, has_experts

TASKS = ("t2v", "i2v", "flf2v", "vace", "animate", "s2v")
_SEE_A_PICTURE = {"i2v", "flf2v", "animate", "s2v"}
"""Tasks for which LightX2V loads the image encoder, unless use_image_encoder is false."""

_EXPERT_KEYS = tuple(f"{expert}_noise_{kind}_ckpt" for expert in EXPERT_FOLDERS for kind in ("quantized", "original"))
_ONE_MODEL_KEYS = ("dit_quantized_ckpt", "dit_original_ckpt")


@dataclass(frozen=True)
class Part:
    """One model that the configuration asks for.

    expert: "high" or "low" for one of a pair of DiTs; scheme: a name of ours, None where it is not quantized or the scheme is refused.
    asked: the checkpoint's path as the file has it, None where the model folder is to be searched.
    refused: why its scheme can't be had, in words; else empty.
    """

    component: str
    expert: str | None
    quantized: bool
    scheme: str | None
    asked: str | None
    refused: str = ""


@dataclass(frozen=True)
class Lora:
    """asked: the path as the file has it; expert: the one it is for, None for a single model."""

    asked: str
    strength: float
    expert: str | None


@dataclass(frozen=True)
class Configuration:
    """foreign: why it describes no Wan model, else empty; tokenizer: the path of t5_tokenizer_path; notes: one for every key of the file."""

    path: str
    task: str
    foreign: str
    parts: tuple[Part, ...]
    loras: tuple[Lora, ...]
    tokenizer: str | None
    notes: tuple[Note, ...]

    @property
    def experts(self) -> bool:
        return any(part.expert for part in self.parts)

    @property
    def refused(self) -> tuple[str, ...]:
        """Why this configuration can't be opened here; empty if it can."""
        if self.foreign:
            return (self.foreign,)
        return tuple(dict.fromkeys(part.refused for part in self.parts if part.refused))


def read(path: str, task: str, folder: str = "") -> Configuration:
    """Describe the configuration at path for a task and a model folder ("" for none). Raises ConfigError, placed by line and column."""
    reader = Reader(config_json.read(path))
    foreign = _foreign(reader)
    if foreign:
        return Configuration(path, task, foreign, (), (), None, reader.notes(False, foreign))
    experts = _has_experts(reader, folder)
    dits = _experts(reader) if experts else [_part(reader, "dit")]
    encoders = [_part(reader, "t5"), *_image_encoder(reader, task)]
    loras, tokenizer = _loras(reader, experts), reader.text("t5_tokenizer_path")
    return Configuration(path, task, "", (*dits, *encoders), loras, tokenizer, reader.notes(experts))


def _foreign(reader: Reader) -> str:
    found = next((key for key in QWEN_KEYS if key in reader.values), None)
    if found:
        return f"{found} is a key of Qwen-Image's configurations: this one describes no Wan model. Load it with ComfyUI's own loaders."
    model = reader.text("model_cls") or "wan"
    if not model.startswith(("wan", "seko_talk")):
        return f"model_cls is {model}: this configuration describes no Wan model. Load it with ComfyUI's own loaders."
    return ""


def _has_experts(reader: Reader, folder: str) -> bool:
    """LightX2V is told by its command line's model_cls; here the configuration's own keys tell, else the model folder."""
    values = reader.values
    if any(values.get(key) for key in _EXPERT_KEYS) or "moe" in (reader.text("model_cls") or ""):
        return True
    if any(values.get(key) for key in _ONE_MODEL_KEYS):
        return False
    if any(values.get(key) is not None for key in ("boundary", "boundary_step_index")) or isinstance(values.get("sample_guide_scale"), list):
        return True
    return bool(folder) and has_experts(folder)


def _part(reader: Reader, component: str) -> Part:
    reader.unused(_EXPERT_KEYS if component == "dit" else (), "this is one model, not a pair of experts")
    quantized, scheme, refused = _scheme(reader, component)
    return Part(component, None, quantized, scheme, _checkpoint(reader, component, component, quantized), refused)


def _experts(reader: Reader) -> list[Part]:
    reader.unused(_ONE_MODEL_KEYS, "there are two experts, which have keys of their own")
    quantized, scheme, refused = _scheme(reader, "dit")
    parts = []
    for expert in EXPERT_FOLDERS:
        # LightX2V takes the high-noise expert's original checkpoint for a quantized one too, the low-noise one's not.
        asked = _checkpoint(reader, f"{expert}_noise", "dit", quantized, or_original=expert == "high")
        parts.append(Part("dit", expert, quantized, scheme, asked, refused))
    return parts


def _checkpoint(reader: Reader, prefix: str, component: str, quantized: bool, or_original: bool = False) -> str | None:
    first, second = (f"{prefix}_{kind}_ckpt" for kind in (("quantized", "original") if quantized else ("original", "quantized")))
    asked = reader.text(first)
    if asked is None and quantized and or_original:
        return reader.text(second)
    reader.unused([second], f"{component}_quantized is {'true' if quantized else 'not true'}")
    return asked


def _scheme(reader: Reader, component: str) -> tuple[bool, str | None, str]:
    """Whether the component is quantized, its scheme, and why that is refused."""
    key = f"{component}_quant_scheme"
    if not reader.flag(f"{component}_quantized"):
        reader.unused([key], f"{component}_quantized is not true")
        return False, None, ""
    asked = reader.text(key)
    if asked is None:
        raise reader.error(f"{component}_quantized", f"{component}_quantized is true, but there is no {key}. Add it, such as fp8-sgl or int8-vllm.")
    return True, *scheme_in(asked, key, component)


def _image_encoder(reader: Reader, task: str) -> list[Part]:
    wanted = reader.flag("use_image_encoder", True)
    if wanted and task in _SEE_A_PICTURE:
        return [_part(reader, "clip")]
    why = "use_image_encoder is false" if not wanted else f"the task {task} has no image encoder"
    reader.unused([key for key in READS if key.startswith("clip_")], why)
    return []


def _loras(reader: Reader, experts: bool) -> tuple[Lora, ...]:
    loras = []
    for number, item in enumerate(reader.items("lora_configs")):
        path, strength, name = item.get("path"), item.get("strength", 1.0), item.get("name")
        if not isinstance(path, str) or not path or "\0" in path:
            raise reader.error("lora_configs", f"entry {number} of lora_configs has no path.")
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not _is_finite(strength):
            raise reader.error("lora_configs", f"the strength of {path} is {strength!r}, where a number is needed.")
        expert = next((expert for expert, folder in EXPERT_FOLDERS.items() if folder == name), None)
        if experts and expert is None:
            both = " or ".join(EXPERT_FOLDERS.values())
            raise reader.error("lora_configs", f"{path} does not say which of the two experts it is for. Give it a name: {both}.")
        loras.append(Lora(path, float(strength), expert if experts else None))
        for key in sorted(item.keys() - {"path", "strength", "name"}):
            reader.unknown(f"lora_configs[{number}].{key}", item[key])
    return tuple(loras)


def _is_finite(number: float) -> bool:
    """As a float: JSON has integers that none can hold, and Python reads NaN and 1e999 from it."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
