"""Carries a plan out, a tensor at a time: read, changed, quantized, written; nothing has its final name until all is whole."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Protocol

import torch
from safetensors import safe_open

from .. import __version__
from ..errors import CheckpointError, ConvertError
from ..loaders.download import free_space, readable
from ..loaders.files import PICKLED
from ..loaders.random_weights import MARK, is_marked_random
from ..loaders.storage import CONFIG, FILE, INDEX, storage_of
from .overlap import Behind, ahead
from .partial import PARTIAL, PICKLED_TOO, alone_at, put, recover, temporary
from .pinned import on_host
from .plan import Output, Plan
from .settings import SINGLE, Settings
from .source import Source
from .stored import SCALE, WHOLE, stored_tensors
from .writer import SafetensorsWriter, frame_of

_INDEX = f"diffusion_pytorch_model{INDEX}"
"""LightX2V's name for it, whatever the parts are called."""

Progress = Callable[[int, int], None]
"""Told bytes written and bytes in all. What it raises stops the conversion."""

Witness = Callable[[Output, torch.Tensor, Mapping[str, torch.Tensor]], None]
"""Shown each tensor as it is quantized, on the device that computes, and what is written of it, by suffix. It keeps neither."""

TensorsOf = Callable[[Output], Mapping[str, torch.Tensor]]
"""Gives what is written of an output, by the suffix behind its layer's name."""


class Change(Protocol):
    """What is added to the float tensors before they are quantized, such as a LoRA."""

    def change(self, key: str, shape: tuple[int, ...]) -> torch.Tensor | None:
        """fp32, of the tensor's shape; None where there is nothing to add."""


def no_progress(done: int, total: int) -> None:
    pass


def nobody(output: Output, tensor: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> None:
    pass


def run(
    source: Source,
    plan: Plan,
    target: str,
    changes: Mapping[str, Change] | None = None,
    force: bool = False,
    progress: Progress = no_progress,
    witness: Witness = nobody,
) -> None:
    """Write the checkpoint of a plan: the file `target`, or for the layouts with several files the folder.

    changes: by what they are called in the file's metadata. force: what has that name may be replaced.
    Raises ConvertError: on what is there, too little space, a tensor with NaN or infinity, a source that changes. What was there before stays then.
    """
    changes = changes or {}

    def read(output: Output) -> torch.Tensor:
        return source.read(output.source, _device_of(output, plan.settings))

    with closing(ahead(read, plan.outputs)) as reading:

        def tensors_of(output: Output) -> Mapping[str, torch.Tensor]:
            coming, tensor = next(reading)
            if coming is not output:
                raise ValueError(f"{coming.source} was read ahead, and {output.source} is written")
            return converted(tensor, output, plan.settings, changes.values(), witness)

        write(plan, target, tensors_of, metadata_of(source, plan.format, plan.settings.scaling, changes), force, progress, source.check_unchanged)


def write(
    plan: Plan, target: str, tensors_of: TensorsOf, metadata: Mapping[str, str], force: bool, progress: Progress, finish: Callable[[], None]
) -> None:
    """Write what `tensors_of` gives for each output of a plan, one after the other. finish: called before anything has its final name.

    Raises ConvertError as run does, and whatever the functions raise; what was there before stays then.
    """
    place = os.path.realpath(target)  # what a link leads to is replaced, and not the link
    with _explained(target), alone_at(place):
        recover(place)
        check_target(plan, target, force)
        partial = place + PARTIAL
        with temporary(partial):
            _write_whole(plan, partial, tensors_of, metadata, steps(plan, progress))
            if target.lower().endswith(PICKLED) and plan.settings.layout == SINGLE:
                _pickle(partial)
            finish()
            if not force:
                _check_free(target)  # it took a while
            if os.path.isdir(place):
                _keep_config(place, partial)
            put(partial, place)


def _write_whole(plan: Plan, partial: str, tensors_of: TensorsOf, metadata: Mapping[str, str], step: Callable[[int], None]) -> None:
    if plan.settings.layout == SINGLE:
        (outputs,) = plan.files.values()
        _write_file(partial, outputs, tensors_of, metadata, step)
        return
    os.makedirs(partial)
    for name, outputs in plan.files.items():
        _write_file(os.path.join(partial, name), outputs, tensors_of, metadata, step)
    _write_index(plan, partial)


def _keep_config(folder: str, partial: str) -> None:
    """LightX2V needs the one that lies beside the parts, and no conversion writes it."""
    config = os.path.join(folder, CONFIG)
    if os.path.isfile(config):
        shutil.copy2(config, os.path.join(partial, CONFIG))


def check_target(plan: Plan, target: str, force: bool) -> None:
    """Raise ConvertError where the target is taken or the disk has no room for it."""
    if not force:
        _check_free(target)
    if os.path.isdir(target):
        _check_replaceable(plan, target)
    elif plan.settings.layout != SINGLE and os.path.exists(target):
        raise ConvertError(f"{target} is a file, where a folder is to be written. Choose another name.")
    folder = os.path.dirname(os.path.abspath(target))
    free = free_space(folder)
    needed = plan.nbytes * (2 if target.lower().endswith(PICKLED) else 1)
    if needed > free:
        raise ConvertError(f"converting needs {readable(needed)} of room, and {folder} has {readable(free)} free. Nothing was written.")


def _check_free(target: str) -> None:
    if os.path.lexists(target):
        raise ConvertError(f"{target} is there already. Choose another name; lightquant convert --force would replace it.")


def _check_replaceable(plan: Plan, folder: str) -> None:
    """Raise ConvertError unless a folder holds one checkpoint in parts and nothing else: all of it goes when it is replaced."""
    if plan.settings.layout == SINGLE:
        raise ConvertError(f"{folder} is a folder, where a file is to be written. Choose another name.")
    try:
        storage = storage_of(folder)
        known = {os.path.basename(file) for file in storage.files} if storage.kind != FILE else set()
    except CheckpointError:
        known = set()
    others = [name for name in sorted(os.listdir(folder)) if name not in known and name != CONFIG and not name.endswith(INDEX)]
    if others or not known:
        raise ConvertError(
            f"{folder} is not replaced, as it holds more than a checkpoint in parts ({', '.join(others[:3]) or 'no file'}), and all of it would go. "
            "Choose a folder of its own for the new one."
        )


def steps(plan: Plan, progress: Progress) -> Callable[[int], None]:
    """Takes the bytes of each output as it is done, and tells the progress."""
    done, total = 0, plan.nbytes

    def step(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        progress(done, total)

    return step


def _write_file(path: str, outputs: Iterable[Output], tensors_of: TensorsOf, metadata: Mapping[str, str], step: Callable[[int], None]) -> None:
    entries = [entry for output in outputs for entry in output.entries]
    with SafetensorsWriter(path, entries, metadata) as writer, Behind() as behind:

        def write_all(output: Output, tensors: Mapping[str, torch.Tensor]) -> None:
            for name, suffix in zip(output.names, output.stored, strict=True):
                writer.write(name, tensors[suffix])

        for output in outputs:
            behind(write_all, output, {suffix: on_host(part) for suffix, part in tensors_of(output).items()})
            step(output.nbytes)


def converted(
    tensor: torch.Tensor, output: Output, settings: Settings, changes: Iterable[Change] = (), witness: Witness = nobody
) -> dict[str, torch.Tensor]:
    """What is written of one tensor, by the suffix behind its layer's name, computed in fp32. Raises ConvertError on NaN and on what overflows."""
    tensor = tensor.to(_device_of(output, settings))
    if tensor.is_floating_point():
        for change in changes:
            delta = change.change(output.key, tuple(tensor.shape))
            if delta is not None:
                tensor = tensor.float() + delta.to(tensor.device)
        check_finite(output.source, tensor)
    dtype = next(iter(output.stored.values())).dtype
    parts = stored_tensors(output.format, tensor, dtype, settings.reader, settings.scaling)
    check_held(parts, output.source)
    witness(output, tensor, parts)
    return parts


def _device_of(output: Output, settings: Settings) -> str:
    """Where a tensor is computed: the largest ones, embeddings, are only cast."""
    return settings.device if output.format else "cpu"


def check_held(parts: Mapping[str, torch.Tensor], name: str) -> None:
    """Raise ConvertError where a dtype was too short for the numbers of a tensor."""
    for part in (parts[suffix] for suffix in (WHOLE, SCALE) if suffix in parts):
        if part.is_floating_point() and not bool(torch.isfinite(part).all()):
            dtype = str(part.dtype).removeprefix("torch.")
            raise ConvertError(f"{name} holds values that {dtype} can't hold. Take the dtype bf16 or fp32, or keep it float.")


def check_finite(key: str, tensor: torch.Tensor) -> None:
    """Raise ConvertError where a float tensor of the source has values that no format can hold."""
    # An fp8 or bf16 sum can't overflow where its numbers are finite, but NaN and infinity both survive it.
    if not bool(torch.isfinite(tensor.sum(dtype=torch.float32))) and not bool(torch.isfinite(tensor.float()).all()):
        raise ConvertError(f"{key} holds NaN or infinite values, which can't be quantized. The source is damaged: fetch it again.")


def _pickle(path: str) -> None:
    """Turn a safetensors file into a torch.save dictionary, which LightX2V's encoders are; its tensors stay in the file's mapping meanwhile."""
    with safe_open(path, "pt") as file, open(path + PICKLED_TOO, "wb") as pickled:
        torch.save({key: file.get_tensor(key) for key in file.keys()}, pickled)  # noqa: SIM118 - it is no dictionary
        pickled.flush()
        os.fsync(pickled.fileno())
    os.replace(path + PICKLED_TOO, path)


def metadata_of(source: Source, format_name: str, scaling: str, changes: Iterable[str] = ()) -> dict[str, str]:
    """What a converted file says of itself. changes: what is merged into it, by name."""
    made = {"version": __version__, "source": os.path.basename(source.path), "format": format_name, "scaling": scaling}
    random = MARK if is_marked_random(source.path) else {}
    return {"format": "pt", "lightquant": json.dumps({**made, "loras": [*changes]} if changes else made), **random}


def shapes_of(source: Source, plan: Plan) -> dict[str, tuple[int, ...]]:
    """What a plan writes, by its key, with the shape that it has in the source: what a Change is asked for."""
    return {output.key: tuple(source.headers[output.source].shape) for output in plan.outputs}


def size_of(source: Source, plan: Plan, changes: Mapping[str, Change] | None = None) -> int:
    """The bytes of all files that a plan writes as safetensors, headers and index included."""
    metadata = metadata_of(source, plan.format, plan.settings.scaling, changes or ())
    frames = (frame_of([entry for output in outputs for entry in output.entries], metadata) for outputs in plan.files.values())
    size = plan.nbytes + sum(map(len, frames))
    return size if plan.settings.layout == SINGLE else size + len(_index(plan, size))


def _index(plan: Plan, size: int) -> bytes:
    weight_map = {name: file for file, outputs in plan.files.items() for output in outputs for name in output.names}
    return json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}, indent=2).encode()


def _write_index(plan: Plan, folder: str) -> None:
    size = sum(os.path.getsize(os.path.join(folder, name)) for name in plan.files)
    with open(os.path.join(folder, _INDEX), "wb") as file:
        file.write(_index(plan, size))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _explained(target: str) -> Iterator[None]:
    """Turns what the disk says into an error that names the target."""
    try:
        yield
    except OSError as problem:
        raise ConvertError(f"{target} could not be written: {problem.strerror or problem}. What was there before is untouched.") from problem
