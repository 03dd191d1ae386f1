"""A checkpoint of any storage form, its layers read one at a time under ComfyUI's names, as the loaders would name and decode them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ...convert.names import into_original
from ...convert.selection import is_quantized
from ...errors import ReportError
from ...formats import Format, QuantizedWeight, format_of
from ...loaders.checkpoint import check_prefix, without_prefix
from ...loaders.components import Naming, component_of
from ...loaders.files import Header
from ...loaders.foreign import describe_foreign, quantized_otherwise
from ...loaders.random_weights import is_marked, metadata_of
from ...loaders.scaled import CORE_TAG, SCALES, to_row_scales
from ...loaders.storage import headers
from ..layers import dtype_name
from ..rows import RowReader

_FACTORS = ".affine_norm"
"""In the keys of LightCompress exports, whose weights are divided by factors."""


@dataclass(frozen=True)
class Layer:
    """A weight as it is stored: quantized in a format, or float where that is None. nbytes: in the file, scales included."""

    weight: QuantizedWeight | torch.Tensor
    format: Format | None
    nbytes: int

    def float(self, device: torch.device) -> torch.Tensor:
        """[N, K] in fp32."""
        if self.format is None:
            return self.weight.to(device).float()
        return self.format.dequantize(QuantizedWeight(*(part.to(device) for part in self.weight)), torch.float32)


class LayerReader:
    """A component in a file or folder.

    quantized: the names of the layers whose weights have a scale, in the file's order; factors: whether LightCompress divided the weights by some.
    Raises CheckpointError where the file can't be read, ReportError where it is none of the components or quantized in a way that is not ours.
    """

    def __init__(self, path: str):
        found = headers(path)
        check_prefix(path, found)
        bare = without_prefix(found)
        original = into_original(bare)
        self.path, self._metadata = path, metadata_of(path)
        self.random = is_marked(self._metadata)
        self._tensors = {original(key): (key, header) for key, header in bare.items()}
        component, foreign = component_of(self._tensors), quantized_otherwise(bare)
        if component is None or foreign:
            raise ReportError(f"LightQuant can't compare {path}: it is {foreign.what if foreign else describe_foreign(bare)}.")
        self.component, self.factors = component.name, any(_FACTORS in key for key in bare)
        self._naming, self._reader = component.naming_of(self._tensors), RowReader(0)
        self._modules = {new: key.removesuffix(".weight") for key in self._tensors if key.endswith(".weight") for new in self._new_names(key)}
        self._last: tuple[str, Mapping[str, Layer]] = ("", {})
        self.quantized = [name for name, module in self._modules.items() if any(module + suffix in self._tensors for suffix in SCALES)]

    @property
    def layers(self) -> set[str]:
        """The layers that are quantized, or would be by a conversion."""
        return {*self.quantized, *(name for name in self._modules if is_quantized(self.component, f"{name}.weight", (1, 1), ()))}

    def has(self, name: str) -> bool:
        return name in self._modules

    def read(self, name: str) -> Layer:
        """One layer, in memory of its own. Raises CheckpointError where it is damaged."""
        module = self._modules[name]
        if self._last[0] != module:
            self._last = (module, self._read(module))
        return self._last[1][name]

    def nbytes_of(self, name: str) -> int:
        """Bytes in the file that reading the layer reads."""
        return sum(header.nbytes for _, header in self._parts(self._modules[name]).values()) // self._shared(name)

    def _shared(self, name: str) -> int:
        """How many layers lie fused in the weight."""
        return sum(module == self._modules[name] for module in self._modules.values())

    def _parts(self, module: str) -> dict[str, tuple[str, Header]]:
        keys = [module + suffix for suffix in (".weight", *SCALES, CORE_TAG)]
        return {key: self._tensors[key] for key in keys if key in self._tensors}

    def _new_names(self, key: str) -> list[str]:
        header = self._tensors[key][1]
        if len(header.shape) != 2:
            return []
        renamed = self._naming.rename({key: torch.empty(header.shape, dtype=header.dtype, device="meta")})
        return [new.removesuffix(".weight") for new in renamed]

    def _read(self, module: str) -> dict[str, Layer]:
        parts = self._parts(module)
        tensors = {key: self._reader.tensor(source, header) for key, (source, header) in parts.items()}
        return layers_of(self._naming, tensors, self._metadata, self.path)


def layers_of(naming: Naming, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str], path: str) -> dict[str, Layer]:
    """The layers that a module's tensors are, by ComfyUI's name: several where they are fused.

    Raises CheckpointError or ReportError where they are damaged or of no format of ours.
    """
    nbytes = sum(tensor.nbytes for key, tensor in tensors.items() if key.endswith((".weight", *SCALES)))
    tensors = naming.rename(to_row_scales(tensors, metadata))
    names = [key.removesuffix(".weight") for key in tensors if key.endswith(".weight")]
    layers = {}
    for name in names:
        weight, scale = tensors[f"{name}.weight"], tensors.get(f"{name}.weight_scale")
        if scale is None:
            layers[name] = Layer(weight, None, nbytes // len(names))
            continue
        format_ = format_of(weight.dtype, tuple(weight.shape), tuple(scale.shape))
        problem = format_.problem(weight, scale) if format_ else f"{dtype_name(weight.dtype)} {list(weight.shape)} with scales {list(scale.shape)}"
        if problem:
            raise ReportError(f"LightQuant can't compare {path}: {name} is damaged or of no format of LightQuant's ({problem}). Fetch it again.")
        layers[name] = Layer(QuantizedWeight(weight.contiguous(), format_.kept_scale(scale).contiguous()), format_, nbytes // len(names))
    return layers
