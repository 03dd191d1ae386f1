"""A configuration with its files, in words and as JSON."""

import json
import os
from collections.abc import Iterable

from ..schemes import AUTO, SCHEMES
from .components import COMPONENTS
from .config_keys import COMFYUI, ELSEWHERE, NOTHING, UNKNOWN, UNUSED
from .config_plan import LocatedPart, Plan
from .config_reader import Note

OUTPUTS = {"t5": "CLIP", "clip": "CLIP_VISION"}
"""Component -> the node's output; the DiT's is MODEL, with the expert behind it where there are two."""


def describe(plan: Plan) -> str:
    """The plan in lines: what each output is, the LoRAs, then every key by what becomes of it."""
    configuration = plan.configuration
    if configuration.foreign:
        return configuration.foreign
    kind = "two experts" if configuration.experts else "one model"
    lines = [f"{os.path.basename(configuration.path)}, task {configuration.task}: {kind}"]
    lines += [f"{output_of(located)}: {about(located)}" for located in plan.parts]
    if not any(located.part.component == "clip" for located in plan.parts):
        lines.append(f"{OUTPUTS['clip']}: none; {no_image_encoder(plan)}")
    if any(located.part.component == "t5" and located.scheme for located in plan.parts):
        lines.append(f"tokenizer: {plan.tokenizer.path or 'not named'} ({plan.tokenizer.how})")
    for lora, found in zip(configuration.loras, plan.loras, strict=True):
        target = f"the {lora.expert}-noise expert" if lora.expert else "the model"
        lines.append(f"LoRA on {target} at {lora.strength:g}: {found.path or 'not found'} ({found.how})")
    return "\n".join([*lines, *_keys(configuration.notes)])


def as_json(plan: Plan) -> dict:
    """The plan as JSON would have it; every key of the file is in "keys"."""
    configuration = plan.configuration
    return {
        "file": configuration.path,
        "task": configuration.task,
        "refused": list(configuration.refused),
        "experts": configuration.experts,
        "parts": [
            {
                "output": output_of(located), "component": located.part.component, "expert": located.part.expert, "quantized": located.part.quantized,
                "scheme": located.scheme, "format": _format(located), "asked": located.part.asked, "path": located.file.path, "how": located.file.how,
            }
            for located in plan.parts
        ],
        "loras": [
            {"asked": lora.asked, "strength": lora.strength, "expert": lora.expert, "path": found.path, "how": found.how}
            for lora, found in zip(configuration.loras, plan.loras, strict=True)
        ],
        "tokenizer": {"path": plan.tokenizer.path, "how": plan.tokenizer.how},
        "keys": [{"key": note.key, "value": note.value, "becomes": note.becomes, "text": note.text} for note in configuration.notes],
    }  # fmt: skip


def output_of(located: LocatedPart) -> str:
    """The output of the node that a part goes to."""
    part = located.part
    return OUTPUTS.get(part.component) or (f"MODEL ({part.expert} noise)" if part.expert else "MODEL")


def about(located: LocatedPart) -> str:
    """What a part is and where it lies."""
    component = COMPONENTS[located.part.component]
    if located.part.refused:
        return located.part.refused
    where = f"{located.file.path} ({located.file.how})" if located.file.path else f"not found: {located.file.how}"
    if located.scheme is None and located.file.path:
        return f"{component.title}, not quantized; {where}"
    if located.scheme is None:
        return f"{component.title}, not quantized in this configuration: load it with ComfyUI's own node {component.float_loader}; {where}"
    if located.scheme == AUTO:
        return f"{component.title}, not quantized according to the configuration, but its file is, so it is loaded as it is stored; {where}"
    return f"{component.title}, scheme {located.scheme} ({_format(located)}); {where}"


def no_image_encoder(plan: Plan) -> str:
    """Why there is no image encoder."""
    task = plan.configuration.task
    off = any(note.key == "use_image_encoder" and note.value is False for note in plan.configuration.notes)
    return "use_image_encoder is false" if off else f"the task {task} has none"


def _keys(notes: Iterable[Note]) -> list[str]:
    """Every key but those that are read, whose effect the lines above tell; keys with one reason share a line."""
    lines = []
    for becomes in (ELSEWHERE, COMFYUI, NOTHING, UNUSED, UNKNOWN):
        by_text: dict[str, list[str]] = {}
        for note in notes:
            if note.becomes == becomes:
                by_text.setdefault(note.text, []).append(f"{note.key} = {json.dumps(note.value, ensure_ascii=False)}")
        lines += [f"{becomes}:", *(f"  {', '.join(keys)}: {text}" for text, keys in by_text.items())] if by_text else []
    return lines


def _format(located: LocatedPart) -> str | None:
    return SCHEMES[located.scheme].format if located.scheme in SCHEMES else None
