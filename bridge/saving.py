"""A quantized MODEL, CLIP or CLIP_VISION into ComfyUI's folders, through the conversion's writer."""

import json
import os
from dataclasses import dataclass

from .. import __version__
from ..convert.plan import planned
from ..convert.run import write
from ..convert.settings import LIGHTX2V, SINGLE, Settings
from ..errors import ConvertError
from ..loaders.download import readable
from ..loaders.random_weights import MARK
from .given import check_no_bypass, given
from .progress import byte_progress
from .record import ModelRecord, record_of
from .stored_model import StoredModel
from .targets import target_path


@dataclass(frozen=True)
class Target:
    """filename: in the folder where a download of the component goes, with folders before it or not; layout, reader: as for a conversion.

    bake: whether a LoRA on the model goes into its weights; overwrite: whether what has the name may be replaced.
    """

    filename: str
    layout: str = SINGLE
    reader: str = LIGHTX2V
    bake: bool = False
    overwrite: bool = False


def save(model: object, target: Target) -> tuple[str, str]:
    """Write a quantized model; the path and what was written, in words.

    Raises ConvertError where it is none, where a part of it would be lost, and as a conversion does; what was there before stays then.
    """
    quantized = given(model)
    record = record_of(quantized.patcher)
    if record is None:
        raise ConvertError(f"This {quantized.kind} is not quantized by LightQuant. Put Quantize Model before, or load it with LightQuant's loaders.")
    check_no_bypass(quantized, "It can't be saved: load the LoRA with Load LoRA and turn bake on.")
    if quantized.patches and not target.bake:
        raise ConvertError(
            f"{len(quantized.patches)} weights of this {quantized.kind} have a LoRA or another patch on them, which is not saved unless bake is on. "
            "Turn bake on, or save the model as it is before the LoRA."
        )
    path = target_path(quantized.component, target.filename, target.layout)
    if os.path.exists(path) and not target.overwrite:
        raise ConvertError(f"{path} is there already. Choose another name, or turn overwrite on.")
    stored = StoredModel(quantized, target.reader)
    name = os.path.splitext(os.path.basename(path))[0] if target.layout == SINGLE else os.path.basename(path)
    plan = planned(quantized.component, Settings(record.format, target.layout, target.reader), stored.outputs, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    baked = len(quantized.patches)
    write(plan, path, stored.tensors_of, _metadata(record, baked), target.overwrite, byte_progress(), lambda: None)
    return path, f"{path}: {record.format}, {readable(plan.nbytes)}, for {target.reader}" + (f", patches baked into {baked} weights" if baked else "")


def _metadata(record: ModelRecord, baked: int) -> dict[str, str]:
    made = {"version": __version__, "source": os.path.basename(record.file), "format": record.format}
    if record.how:
        made["how"] = record.how
    random = MARK if record.random else {}
    return {"format": "pt", "lightquant": json.dumps({**made, "baked": baked} if baked else made), **random}
