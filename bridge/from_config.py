"""The models of a LightX2V configuration, loaded as the loaders do it, its LoRAs applied as ComfyUI's own node does it."""

from collections.abc import Sequence
from typing import NamedTuple

import comfy.sd
from comfy_execution.graph_utils import ExecutionBlocker

from ..errors import ConfigError, SchemeError
from ..loaders import config
from ..loaders.config_plan import Plan, locate, required
from ..loaders.config_text import about, describe, no_image_encoder, output_of
from ..loaders.pair import check_pair
from ..loaders.storage import paths_of
from ..loaders.wan_folder import HIGH, LOW
from . import folders
from .config_folders import config_path, folder_path, places
from .float_models import load_float_dit, load_float_encoder
from .load import Request, load, summary


class Opened(NamedTuple):
    """What the node gives out; an output that the configuration does not have is an ExecutionBlocker that says why.

    model: the MODEL, or the high-noise expert; low: the low-noise expert; text: what was loaded, and what becomes of each key.
    """

    model: object
    low: object
    clip: object
    vision: object
    text: str

    @property
    def dits(self) -> dict[str, object]:
        """The MODELs that there are, by their outputs' names."""
        named = {"model": self.model, "low_noise_model": self.low}
        return {name: model for name, model in named.items() if not isinstance(model, ExecutionBlocker)}


def plan_of(file: str, folder: str | None, task: str) -> Plan:
    """The configuration and its files, by the names that the node lists. Raises ConfigError."""
    path = folder_path(folder) if folder else ""
    return locate(config.read(config_path(file), task, path), places(path))


def files_of(plan: Plan) -> list[str]:
    """Every file that opening the plan reads, for noticing changes."""
    checkpoints = [located.file.path for located in plan.parts if located.file.path]
    loras = [found.path for found in plan.loras if found.path]
    tokenizers = [plan.tokenizer.path] if plan.tokenizer.path else [path for each in checkpoints for path in folders.spiece_models_for(each)]
    return [plan.configuration.path, *(part for path in checkpoints for part in paths_of(path)), *loras, *tokenizers]


def open_plan(plan: Plan, may_substitute: bool) -> Opened:
    """Load everything that the configuration describes; what is not quantized may be absent, and its output then says so.

    Raises SchemeError for a scheme that is not ours, ConfigError where a file is not found, and whatever the loaders raise.
    """
    configuration = plan.configuration
    if configuration.refused:
        raise (ConfigError if configuration.foreign else SchemeError)(f"{configuration.path}: {' '.join(configuration.refused)}")
    outputs: dict[tuple[str, str | None], object] = {}
    loaded = []
    # Everything is looked for before the first model is loaded.
    wanted = {located: required(located.file, output_of(located)) for located in plan.parts if located.scheme or located.file.path}
    experts = {located.part.expert: path for located, path in wanted.items() if located.part.expert}
    if experts.keys() >= {HIGH, LOW}:
        check_pair(experts[HIGH], experts[LOW])
    lora_files = _lora_files(plan, [located.part.expert for located in wanted if located.part.component == "dit"])
    for located, path in wanted.items():
        part = located.part
        tokenizer = plan.tokenizer.path if part.component == "t5" else None
        if located.scheme:
            result = load(Request(part.component, path, located.scheme, may_substitute=may_substitute, tokenizer=tokenizer))
            model, text = result.model, summary(result.record)
        else:
            model = load_float_dit(path) if part.component == "dit" else load_float_encoder(part.component, path, tokenizer)
            text = f"not quantized; {path}"
        outputs[part.component, part.expert] = with_loras(model, lora_files.get(part.expert, ()) if part.component == "dit" else ())
        loaded.append(f"{output_of(located)}: {text}")
    for located in plan.parts:
        outputs.setdefault((located.part.component, located.part.expert), ExecutionBlocker(f"{output_of(located)}: {about(located)}"))
    one = ExecutionBlocker(f"{configuration.path} describes one model, not a pair of experts: connect the first MODEL.")
    vision = ExecutionBlocker(f"{configuration.path} describes no image encoder: {no_image_encoder(plan)}.")
    return Opened(
        outputs.get(("dit", HIGH)) or outputs[("dit", None)], outputs.get(("dit", LOW), one), outputs[("t5", None)],
        outputs.get(("clip", None), vision), "\n".join([*loaded, describe(plan)]),
    )  # fmt: skip


def with_loras(model: object, loras: Sequence[tuple[str, float]]) -> object:
    """The MODEL with each LoRA (path, strength) patched in. Raises ConfigError for one that has nothing for this model."""
    for path, strength in loras:
        tensors, _ = folders.open_file(path)
        patched, _ = comfy.sd.load_lora_for_models(model, None, tensors, strength, 0.0)
        if _total(patched) == _total(model):
            raise ConfigError(f"The LoRA {path} changes nothing in this model: none of its layers has the name of one. Name the LoRA of this model.")
        model = patched
    return model


def _lora_files(plan: Plan, experts: Sequence[str | None]) -> dict[str | None, list[tuple[str, float]]]:
    """Expert -> the LoRAs of the DiTs that are loaded, in the configuration's order."""
    files: dict[str | None, list[tuple[str, float]]] = {}
    for lora, found in zip(plan.configuration.loras, plan.loras, strict=True):
        if lora.expert in experts:
            files.setdefault(lora.expert, []).append((required(found, f"the LoRA {lora.asked}"), lora.strength))
    return files


def _total(model) -> int:
    """How many patches lie on the model's weights."""
    return sum(map(len, model.patches.values()))
