"""What storing costs a layer: how far its weights come back from what they were, and what it saves.

Only weights are looked at. What a layer's inputs make of its error, and what the model makes of the layer's, these figures don't know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log10, sqrt

import torch

from ..convert.recipe import FLOAT
from ..convert.settings import LIGHTX2V
from ..convert.stored import SCALE, WEIGHT, stored_parts, stored_tensors
from ..formats import ABSMAX, Format, QuantizedWeight
from .codes import FLAGS, SATURATED, ZERO_ROWS, float_flags

_PIECE = 2**22
"""Values that are compared at a time: more would take another three times the largest weight's memory."""
_STEP = 128
"""Pieces end where a format's blocks and Marlin's tiles do."""


@dataclass(frozen=True)
class LayerError:
    """One layer in one format, against its float weight.

    format: a format's name, or FLOAT; rows: output channels, elements: weights;
    float_bytes, stored_bytes: in the file, without and with the format, scales and whatever else belongs to it included;
    squared_error, squared_norm: sums over all weights, of their errors and of themselves;
    saturated: rows of which so many codes lie at the limit that their scale must have cut values off (codes.py says how many);
    dead: rows of which every stored weight is zero.
    """

    layer: str
    format: str
    rows: int
    elements: int
    float_bytes: int
    stored_bytes: int
    squared_error: float
    squared_norm: float
    saturated: int
    dead: int

    @property
    def relative_squared(self) -> float:
        """Squared error over squared weights; 0 for a layer of zeros that come back as zeros."""
        if self.squared_error == 0:
            return 0.0
        return self.squared_error / self.squared_norm if self.squared_norm else inf

    @property
    def relative_error(self) -> float:
        """The root of it: the length of the error over that of the weights."""
        return sqrt(self.relative_squared)

    @property
    def sqnr_db(self) -> float:
        """The same in decibels: infinite where every weight comes back as it was."""
        if self.relative_squared in (0, inf):
            return inf if self.relative_squared == 0 else -inf
        return -10 * log10(self.relative_squared)

    @property
    def weighted(self) -> float:
        """relative_squared times the layer's number of weights, which is what a plan adds up.

        A layer's weights are as large as its inputs and the norm behind it make them, so errors are compared as shares of their layer, and a layer
        counts as much as it is large.
        """
        return self.relative_squared * self.elements

    @property
    def bytes_saved(self) -> int:
        return self.float_bytes - self.stored_bytes

    @property
    def error_per_byte_saved(self) -> float | None:
        """weighted over bytes_saved; None where nothing is saved."""
        return self.weighted / self.bytes_saved if self.bytes_saved > 0 else None


def layer_error(
    layer: str, weight: torch.Tensor, format_: Format | None, scaling: str = ABSMAX, dtype: torch.dtype = torch.bfloat16, reader: str = LIGHTX2V
) -> LayerError:
    """What storing a float weight [N, K] costs, stored as a conversion stores it.

    format_: as packing_for gives it; None: it stays float. dtype: of what stays float, which is what the bytes are compared with.
    """
    parts = stored_tensors(format_, weight, dtype, reader, scaling)
    if format_ is None:
        return _figures(layer, weight, None, dtype, reader, next(iter(parts.values())), lambda rows: parts[""][rows].float())
    scale = parts[SCALE]
    if scale.ndim == 0:  # ComfyUI's fp8 has one for all rows
        scale = scale.expand(len(weight), 1)
    return stored_error(layer, weight, format_, QuantizedWeight(parts[WEIGHT], scale), dtype, reader)


def stored_error(
    layer: str, weight: torch.Tensor, format_: Format, stored: QuantizedWeight, dtype: torch.dtype = torch.bfloat16, reader: str = LIGHTX2V
) -> LayerError:
    """The same of a weight that is stored already, on the device of the float one. format_: in the packing that it has."""
    return _figures(
        layer, weight, format_, dtype, reader, format_.to_plain(stored).data, lambda rows: format_.dequantize(stored, torch.float32, rows)
    )


def _figures(
    layer: str, weight: torch.Tensor, format_: Format | None, dtype: torch.dtype, reader: str, codes: torch.Tensor,
    decoded: Callable[[slice], torch.Tensor],
) -> LayerError:  # fmt: skip
    rows, columns = weight.shape
    error, norm = (torch.zeros((), dtype=torch.float64, device=weight.device) for _ in range(2))
    step = max(1, _PIECE // columns // _STEP) * _STEP
    for start in range(0, rows, step):
        piece = slice(start, min(start + step, rows))
        values = weight[piece].float()
        error += (decoded(piece) - values).square_().sum(dtype=torch.float64)
        norm += values.square().sum(dtype=torch.float64)
    flags = FLAGS.get(codes.dtype, float_flags)(codes.cpu()).rows
    whole, stored = (
        sum(part.nbytes for part in stored_parts(each, (rows, columns), weight.dtype, dtype, reader).values()) for each in (None, format_)
    )
    return LayerError(
        layer=layer, format=format_.name if format_ else FLOAT, rows=rows, elements=rows * columns, float_bytes=whole, stored_bytes=stored,
        squared_error=float(error), squared_norm=float(norm),
        saturated=int(flags[SATURATED].sum()) if SATURATED in flags else 0, dead=int(flags[ZERO_ROWS].sum()),
    )  # fmt: skip
