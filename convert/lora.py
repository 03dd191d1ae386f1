"""LoRA files to merge into a model's weights: what is in one, and the change that it makes to each tensor."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from ..errors import CheckpointError, ConvertError
from ..loaders.files import PICKLED, SAFETENSORS
from ..loaders.storage import Opener
from .names import to_diffusers, to_original

_ROLES = {
    "up": (
        ".lora_up.weight", "_lora.up.weight", ".lora.up.weight", ".lora_linear_layer.up.weight", ".lora_B.weight", ".lora_B", ".lora_B.*.weight",
    ),
    "down": (
        ".lora_down.weight", "_lora.down.weight", ".lora.down.weight", ".lora_linear_layer.down.weight", ".lora_A.weight", ".lora_A",
        ".lora_A.*.weight",
    ),
    "mid": (".lora_mid.weight",),
    "alpha": (".alpha",),
    "diff": (".diff", ".w_norm"),
    "diff_b": (".diff_b", ".b_norm"),
    "diff_m": (".diff_m",),
}  # fmt: skip
"""What a tensor is for -> how its key ends, behind the layer's name; * is the name that PEFT gave the adapter."""

_PREFIXES = (
    "diffusion_model.", "model.", "unet.", "transformer.", "base_model.", "pipe.dit.", "lora_unet_", "lora_transformer_", "lycoris_",
)  # fmt: skip
"""Before a layer's own name, any number of them; behind the last three, the name has underscores for its dots."""

_OTHERS = {
    ".dora_scale": "DoRA", ".lora_magnitude_vector": "DoRA", ".lora_magnitude_vector.default.weight": "DoRA", ".hada_w1_a": "LoHa",
    ".lokr_w1": "LoKr", ".lokr_w1_a": "LoKr", ".oft_blocks": "OFT", ".set_weight": "replacement of weights",
    ".reshape_weight": "LoRA that widens the model",
}  # fmt: skip
"""How keys end that say the file is something else, whose change is not up @ down."""


def _ending(role: str, suffixes: Iterable[str]) -> str:
    return rf"(?P<{role}>{'|'.join(re.escape(suffix).replace(re.escape('*'), '[^.]+') for suffix in suffixes)})"


_KEY = re.compile(rf"(?P<layer>.+?)(?:{'|'.join(_ending(*row) for row in _ROLES.items())})")

_SPEC = re.compile(rf"(?P<path>.+?(?:{'|'.join(re.escape(end) for end in SAFETENSORS + PICKLED)}))(?::(?P<numbers>[^/\\]*))?", re.IGNORECASE)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Lora:
    """A LoRA file. Its tensors are read only when a change is asked for.

    strength: what every change is multiplied by; alpha: for the layers that have none of their own.
    layers: a layer's name without its prefix and with underscores for its dots -> role -> the tensor's key.
    """

    path: str
    strength: float
    alpha: float | None
    tensors: Mapping[str, torch.Tensor]
    layers: Mapping[str, Mapping[str, str]]

    def change(self, key: str, shape: Shape) -> torch.Tensor | None:
        """What is added to the model's tensor of this key and shape, fp32: up @ down * alpha / rank * strength, and diff * strength.

        None where the LoRA has nothing for it. Raises ConvertError where its shapes are those of another model, CheckpointError where it is damaged.
        """
        parts = self._checked(key, shape)
        change = self._product(parts).reshape(shape) if "up" in parts else None
        if "diff" in parts:
            diff = self._float(parts["diff"]) * self.strength
            change = diff if change is None else change.add_(diff)
        if change is not None and not bool(torch.isfinite(change).all()):
            raise CheckpointError(_damaged(self.path, f"what it adds to {key} is NaN or infinite"))
        return change

    def unmatched(self, keys: Iterable[str]) -> list[str]:
        """The LoRA's keys that fit no tensor of a model with these keys."""
        used = {part for key in keys for part in self._parts(key).values()}
        return sorted(set(self.tensors) - used)

    def check(self, shapes: Mapping[str, Shape], model: str, allow_unmatched: bool = False) -> None:
        """Raise ConvertError where the LoRA has nothing for a model with these tensors, or something of another shape. Nothing is computed.

        model: what it is called; allow_unmatched: whether tensors that fit none of the model's may be left out.
        """
        if not [key for key, shape in shapes.items() if self._checked(key, shape)]:
            ours, theirs = sorted(self.tensors)[0], next(iter(shapes), "none")
            raise ConvertError(
                f"the LoRA {self.path} is for another model: none of its {len(self.tensors)} tensors (such as {ours}) fits a tensor of this one "
                f"(such as {theirs}). Take a LoRA that was made for it."
            )
        unmatched = [] if allow_unmatched else self.unmatched(shapes)
        if unmatched:
            raise ConvertError(
                f"{len(unmatched)} tensors of the LoRA {self.path} fit no tensor of {model}: {', '.join(unmatched[:5])}. "
                "It may be for another model. lightquant convert --allow-unmatched leaves them out."
            )

    def _parts(self, key: str) -> dict[str, str]:
        """Role -> the LoRA's key, of what changes the model's tensor of this key."""
        layer, _, parameter = _bare(key).rpartition(".")
        if parameter not in ("weight", "bias"):
            layer, parameter = _bare(key), "weight"
        original = to_original(layer)
        found = [self.layers[name] for name in {_flat(original), _flat(to_diffusers(original))} if name in self.layers]
        if len(found) > 1:
            raise CheckpointError(_damaged(self.path, f"it has tensors for {key} in Wan's names and in diffusers'"))
        roles = found[0] if found else {}
        if parameter == "bias":
            return {"diff": roles["diff_b"]} if "diff_b" in roles else {}
        return {role: part for role, part in roles.items() if role != "diff_b"}

    def _checked(self, key: str, shape: Shape) -> dict[str, str]:
        """The parts for a key, whose shapes fit the tensor's."""
        parts = self._parts(key)
        if "up" in parts:
            matrices = {role: tuple(self.tensors[parts[role]].shape) for role in ("up", "down", "mid") if role in parts}
            if 0 in matrices["down"][:1]:
                raise CheckpointError(
                    _damaged(self.path, f"{parts['down']} is {_readable(matrices['down'])}, where a rank of at least 1 is expected")
                )
            if not _fits(_product_shape(**matrices), shape):
                raise self._misfit(key, shape, " and ".join(f"{role} {_readable(found)}" for role, found in matrices.items()))
        if "diff" in parts and tuple(self.tensors[parts["diff"]].shape) != tuple(shape):
            raise self._misfit(key, shape, f"a difference of {_readable(self.tensors[parts['diff']].shape)}")
        return parts

    def _product(self, parts: Mapping[str, str]) -> torch.Tensor:
        """up @ down * alpha / rank * strength, two-dimensional unless there is a matrix between the two."""
        up, down = self._float(parts["up"]).flatten(1), self._float(parts["down"]).flatten(1)
        scale = self._alpha(parts, len(down)) / len(down) * self.strength
        if "mid" in parts:
            return torch.einsum("or,rs...,si->oi...", up, self._float(parts["mid"]), down).mul_(scale)
        return (up @ down).mul_(scale)

    def _alpha(self, parts: Mapping[str, str], rank: int) -> float:
        """The layer's own alpha, else the one for all, else what makes the scale 1."""
        if "alpha" not in parts:
            return rank if self.alpha is None else self.alpha
        alpha = self.tensors[parts["alpha"]]
        if alpha.numel() != 1:
            raise CheckpointError(_damaged(self.path, f"{parts['alpha']} is {_readable(alpha.shape)}, where one number is expected"))
        return alpha.item()

    def _float(self, key: str) -> torch.Tensor:
        tensor = self.tensors[key]
        if not tensor.is_floating_point():
            raise CheckpointError(_damaged(self.path, f"{key} is {tensor.dtype}, where float numbers are expected"))
        return tensor.float()

    def _misfit(self, key: str, shape: Shape, found: str) -> ConvertError:
        return ConvertError(
            f"the LoRA {self.path} is for another model: for {key} it has {found}, and the tensor is {_readable(shape)}. "
            "Take a LoRA that was made for this model."
        )


def parse_spec(text: str) -> tuple[str, float, float | None]:
    """The path, strength (1 where none is given) and alpha of PATH[:strength[:alpha]]. Raises ConvertError where they are no numbers."""
    found = _SPEC.fullmatch(text)
    numbers = found["numbers"].split(":") if found and found["numbers"] is not None else []
    try:
        values = [float(number) for number in numbers]
        if found is None or len(values) > 2 or not all(map(math.isfinite, values)):
            raise ValueError
    except ValueError as problem:
        ends = ", ".join(SAFETENSORS + PICKLED)
        raise ConvertError(
            f"the LoRA is given as {text}, where PATH[:strength[:alpha]] is needed: a file ({ends}), and numbers such as in lora.safetensors:0.8:16."
        ) from problem
    strength, alpha = (*values, *(1.0, None)[len(values) :])
    return found["path"], strength, alpha


def open_lora(spec: str, open_file: Opener) -> Lora:
    """The LoRA of a PATH[:strength[:alpha]].

    Raises ConvertError where the spec can't be read, CheckpointError where the file can't, holds no LoRA, another kind of change, or half a pair.
    """
    return read_lora(*parse_spec(spec), open_file)


def read_lora(path: str, strength: float, alpha: float | None, open_file: Opener) -> Lora:
    """The LoRA of a file; the numbers as in Lora. Raises CheckpointError as open_lora does."""
    tensors, _ = open_file(path)
    other = next((kind for key in tensors for end, kind in _OTHERS.items() if key.endswith(end)), None)
    if other:
        raise CheckpointError(
            f"LightQuant can't merge {path}: it is a {other}, where a LoRA of up and down matrices or of differences is needed. "
            "Load it in ComfyUI over the quantized model."
        )
    layers = _layers(path, tensors)
    if not layers:
        keys = ", ".join(sorted(tensors)[:3]) or "no tensors"
        raise CheckpointError(f"LightQuant can't merge {path}: it holds {keys}, where keys ending like .lora_up.weight are needed. Pick a LoRA.")
    return Lora(path, strength, alpha, tensors, layers)


def _layers(path: str, keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """The table of a file's layers. Raises CheckpointError where a layer is there twice, or lacks one half of its pair."""
    layers: dict[str, dict[str, str]] = {}
    for key in keys:
        found = _KEY.fullmatch(key)
        if found is None:
            continue
        role, layer = found.lastgroup, _bare(found["layer"])
        if role == "diff_m":
            role, layer = "diff", f"{layer}.modulation"
        other = layers.setdefault(_flat(layer), {}).setdefault(role, key)
        if other != key:
            raise CheckpointError(_damaged(path, f"{other} and {key} are for the same layer"))
    for parts in layers.values():
        absent = [role for role in ("up", "down") if role not in parts]
        if len(absent) == 1 or (absent and "mid" in parts):
            raise CheckpointError(_damaged(path, f"it has {next(iter(parts.values()))} without the {absent[0]} matrix that belongs to it"))
    return layers


def _bare(name: str) -> str:
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None):
        name = name[len(prefix) :].lstrip("_")
    return name


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _product_shape(up: Shape, down: Shape, mid: Shape | None = None) -> Shape | None:
    """The shape that up @ down has, or up @ mid @ down of a convolution in three; None where they can't be multiplied."""
    if min(map(len, (up, down, mid or down))) < 2:
        return None
    between = mid or (down[0], down[0], *down[2:])
    if (up[1], down[0]) != between[:2]:
        return None
    ones = up[2:] + (down[2:] if mid else ())
    return (up[0], down[1], *between[2:]) if all(size == 1 for size in ones) else None


def _fits(product: Shape | None, shape: Shape) -> bool:
    """Whether a product is a tensor's, where a convolution's kernel may be left out if it is 1, or flattened."""
    if product is None:
        return False
    flattened = (*shape[:1], math.prod(shape[1:]))
    return product == tuple(shape) or (2 in (len(product), len(shape)) and flattened == (product[0], math.prod(product[1:])))


def _readable(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _damaged(path: str, problem: str) -> str:
    return f"LightQuant can't merge {path}: {problem}. The file is damaged or incomplete: fetch it again."
