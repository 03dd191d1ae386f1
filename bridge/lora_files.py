"""What a LoRA file changes in a loaded model: found by ComfyUI's own key maps, read by its own adapters, told in the pack's own words."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import comfy.lora
import comfy.lora_convert
import comfy.utils
import torch
from comfy.weight_adapter import WeightAdapterBase

from ..convert.names import to_diffusers
from ..errors import LoraError
from .folders import open_file

Tensors = Mapping[str, torch.Tensor]


class LowRank(NamedTuple):
    """scale * up @ down, which is added to a weight [N, K]; up: [N, R], down: [R, K], in the file's dtype."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float


class Difference(NamedTuple):
    """What is added to a parameter of the same shape."""

    tensor: torch.Tensor


class Additive(NamedTuple):
    """A change of a weight that one of ComfyUI's adapters computes from the layer's inputs alone, as it does for LoHa and LoKr."""

    adapter: WeightAdapterBase


@dataclass(frozen=True, eq=False)
class Change:
    """What a file does to one parameter of a model.

    key: the parameter's, in the model's state dict. kind: what it is called.
    content: what can be added beside the layer, or None where the change needs the weight itself.
    shape: of the change, [N, K] for factors (a convolution's kernel flattened); None where only ComfyUI can tell.
    patch_key, patch: the same for ComfyUI's add_patches.
    """

    key: str
    kind: str
    content: LowRank | Difference | Additive | None
    shape: tuple[int, ...] | None
    patch_key: object
    patch: object


class Changes(NamedTuple):
    """found: in the model's order; unmatched: the file's keys that have no place in this model, and the parameters that the model lacks."""

    found: tuple[Change, ...]
    unmatched: tuple[str, ...]


def changes_in(path: str, model: torch.nn.Module) -> Changes:
    """What the file changes in this model (a BaseModel of ComfyUI's).

    Raises CheckpointError where the file can't be read, LoraError where it is incomplete.
    """
    tensors, names = comfy.lora_convert.convert_lora(_as_differences(read(path))), _names_in(model)
    try:
        found = [change for part in _parts(tensors) for change in _changes(part, names)]
    except KeyError as problem:
        raise LoraError(f"LightQuant can't use {path}: it has one half of a pair without {problem}. Fetch the file again.") from problem
    except ValueError as problem:
        raise LoraError(f"LightQuant can't use {path}: {problem}. Fetch the file again.") from problem
    order = {key: position for position, key in enumerate(model.state_dict())}
    placed = sorted((change for change in found if change.key in order), key=lambda change: order[change.key])
    absent = {change.key for change in found if change.key not in order}  # such as the bias of a layer that has none
    return Changes(tuple(placed), (*sorted(set(tensors) - _used(tensors, names, found)), *sorted(absent)))


def read(path: str) -> dict[str, torch.Tensor]:
    """The file's tensors; those of the last two files are kept (memory-mapped, as far as the file can be) as long as they do not change."""
    try:
        state = os.stat(path)
    except OSError as problem:
        raise LoraError(f"LightQuant can't load {path}: {problem.strerror}. Pick another LoRA, or refresh the list (R).") from problem
    return dict(_read(path, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=2)
def _read(path: str, changed: int, size: int) -> dict[str, torch.Tensor]:
    return open_file(path)[0]


_WHOLE = (".diff", ".diff_b", ".w_norm", ".b_norm", ".set_weight")
"""How the keys end that are a parameter's whole change. ComfyUI's reader keeps one change a parameter, and drops a LoRA that stands beside one."""


def _as_differences(tensors: Tensors) -> dict[str, torch.Tensor]:
    """LightX2V's name for a modulation's difference, which ComfyUI's reader does not know, as the one that it does."""
    return {key.removesuffix(".diff_m") + ".modulation.diff" if key.endswith(".diff_m") else key: tensor for key, tensor in tensors.items()}


def _parts(tensors: Tensors) -> Iterator[dict[str, torch.Tensor]]:
    """The file's factors, then its whole differences: each can have one change for a parameter."""
    for whole in (False, True):
        yield {key: tensor for key, tensor in tensors.items() if key.endswith(_WHOLE) == whole}


_PREFIXES = ("", "transformer.", "base_model.model.", "pipe.dit.")
"""Before a layer's own name, in files that ComfyUI's map for Wan does not know but LightX2V reads."""


def _names_in(model: torch.nn.Module) -> dict[str, object]:
    """A LoRA file's name of a layer -> the model's key: ComfyUI's map, and behind it diffusers' names and bare ones."""
    names: dict[str, object] = comfy.lora.model_lora_keys_unet(model, {})
    prefix = "diffusion_model."
    for key in model.state_dict():
        if key.startswith(prefix) and not key.endswith((".bias", ".weight_scale")):
            name = key.removeprefix(prefix).removesuffix(".weight")
            for each in (name, to_diffusers(name)):
                for before in (*_PREFIXES, prefix):
                    names.setdefault(before + each, key)
    return names


def _changes(tensors: Tensors, names: Mapping[str, object]) -> Iterator[Change]:
    for patch_key, patch in comfy.lora.load_lora(dict(tensors), dict(names), log_missing=False).items():
        kind, content, shape = _told(patch)
        # A patch of a part of a weight has a tuple for its key: (key, where).
        if isinstance(patch_key, str):
            yield Change(patch_key, kind, content, shape, patch_key, patch)
        else:
            yield Change(patch_key[0], kind, None, None, patch_key, patch)


Told = tuple[str, LowRank | Difference | Additive | None, tuple[int, ...] | None]
"""Kind, content and shape of a change."""


def _told(patch: object) -> Told:
    if not isinstance(patch, WeightAdapterBase):
        kind, values = patch
        return ("difference", Difference(values[0]), tuple(values[0].shape)) if kind == "diff" else ("replacement", None, tuple(values[0].shape))
    return _READERS.get(patch.name, _other)(patch)


def _lora(adapter: WeightAdapterBase) -> Told:
    up, down, alpha, mid, dora, reshape = adapter.weights
    if reshape is not None:
        return "LoRA that widens the layer", None, None
    shape = (len(up), down.shape[1:].numel()) if mid is None else None
    for kind, part in (("LoRA with a middle matrix", mid), ("DoRA", dora)):
        if part is not None:
            return kind, None, shape
    if up.shape[1] != len(down):
        raise ValueError(f"the factors of one of its layers are of rank {up.shape[1]} and {len(down)}")
    return "LoRA", LowRank(up.flatten(1), down.flatten(1), 1.0 if alpha is None else alpha / len(down)), shape


def _loha(adapter: WeightAdapterBase) -> Told:
    (w1a, w1b, _, _, _, t1, _, dora) = adapter.weights
    return _additive("LoHa", adapter, dora, (len(w1a), w1b.shape[1]) if t1 is None else None)


def _lokr(adapter: WeightAdapterBase) -> Told:
    w1, w2, _, w1a, w1b, w2a, w2b, t2, dora = adapter.weights
    sizes = [(whole.shape[0], whole.shape[1:].numel()) if whole is not None else (len(a), b.shape[1:].numel()) for whole, a, b in
             ((w1, w1a, w1b), (w2, w2a, w2b))]  # fmt: skip
    return _additive("LoKr", adapter, dora, (sizes[0][0] * sizes[1][0], sizes[0][1] * sizes[1][1]) if t2 is None else None)


def _additive(kind: str, adapter: WeightAdapterBase, dora: torch.Tensor | None, shape: tuple[int, int] | None) -> Told:
    return (f"{kind} with DoRA", None, shape) if dora is not None else (kind, Additive(adapter), shape)


def _other(adapter: WeightAdapterBase) -> Told:
    return adapter.name.upper(), None, None


_READERS = {"lora": _lora, "loha": _loha, "lokr": _lokr}
"""By the name of ComfyUI's adapter; the others multiply the weight, so they can't be added beside it."""


def _used(tensors: Tensors, names: Mapping[str, object], found: Iterable[Change]) -> set[str]:
    """The file's keys that are part of what was found."""
    adapters = (change.patch for change in found if isinstance(change.patch, WeightAdapterBase))
    return {key for adapter in adapters for key in adapter.loaded_keys} | {name + end for name in names for end in _WHOLE if name + end in tensors}
