"""The configuration node, called as ComfyUI's server calls it, with configurations written into ComfyUI's input folder."""

import json
import shutil
from pathlib import Path

import folder_paths

INPUTS = {"config": "input/wan.json", "model_folder": "diffusion_models/Wan", "task": "i2v", "missing_kernel": "substitute"}
QUANTIZED = {f"{part}_quantized": True for part in ("dit", "t5", "clip")}
INT8 = {**QUANTIZED, "dit_quant_scheme": "int8-vllm", "t5_quant_scheme": "int8", "clip_quant_scheme": "int8-q8f"}


def copy(source: Path, target: Path) -> Path:
    """Copy a file to a path or into a folder, made if need be."""
    target = target if target.suffix else target / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, target))


def write(values: dict | str, name: str) -> None:
    """Put a configuration into the input folder."""
    text = values if isinstance(values, str) else json.dumps(values)
    path = Path(folder_paths.get_input_directory(), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(values: dict | str | None = None, **inputs: str):
    """Run the node on these values, or on what is there."""
    from lightquant.nodes.from_config import FromConfig

    if values is not None:
        write(values, "wan.json")
    return FromConfig.execute(**{**INPUTS, **inputs})
