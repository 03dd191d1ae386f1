"""What a checkpoint's tensors hold that they should not, and how far its scales reach. Every byte is read, a piece at a time."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch

from ..loaders.files import Header
from . import layers
from .codes import FLAGS, INFINITE, NAN, NARROW, float_flags
from .rows import RowReader

Progress = Callable[[int, int], None]
"""Bytes done, bytes in all."""

NOT_POSITIVE = "scales that are not positive"

_PIECE = 2**21
"""Bytes at a time: what a CPU's caches hold."""

_FIRST = 8


@dataclass(frozen=True)
class Finding:
    """Something suspicious. count: how many rows, values or scales of `of`; first: the first few, by their number, where rows or scales are meant."""

    tensor: str
    what: str
    count: int
    of: int
    first: tuple[int, ...] = ()


@dataclass(frozen=True)
class ScaleRange:
    """The scales of one layer; NaN and infinite ones are findings and left out, and the figures are None where no other is there."""

    layer: str
    role: str
    min: float | None
    median: float | None
    max: float | None
    count: int


@dataclass(frozen=True)
class DataReport:
    """tensors, bytes: what was looked at; skipped: tensors of packed or unknown dtypes, whose values say nothing by themselves."""

    tensors: int
    bytes: int
    skipped: tuple[str, ...]
    findings: tuple[Finding, ...]
    scales: tuple[ScaleRange, ...]

    def as_dict(self) -> dict:
        """The same as plain dictionaries, lists, strings and numbers, for JSON."""
        return asdict(self)


def check(tensors: Mapping[str, Header], progress: Progress | None = None) -> DataReport:
    """Read every tensor once, on the CPU: the disk is slower. Raises CheckpointError where a file can't be read to its end."""
    reader = RowReader(_PIECE)
    by_name = {layer.name: layer for layer in layers.layers_of(tensors)}
    total, done = sum(header.nbytes for header in tensors.values()), 0
    findings: list[Finding] = []
    scales, skipped = [], []
    for key, header in tensors.items():
        layer = by_name.get(key.removesuffix(".weight"))
        scaled = next((by_name[key.removesuffix(end)] for end in layers.SCALES if key.endswith(end) and key.removesuffix(end) in by_name), None)
        if scaled:
            values = reader.whole(key, header)
            if scaled.is_int4:  # whose scales carry a sign, and are 0 for a group of zeros
                values = values.abs()
            findings += _scale_findings(key, values, may_be_zero=scaled.is_int4)
            scales.append(_range(scaled, values))
        elif header.dtype.is_floating_point or _has_known_codes(header, layer):
            step = progress and (lambda more, before=done: progress(before + more, total))
            findings += _row_findings(key, header, layer, reader, step)
        else:
            skipped.append(key)
        done += header.nbytes
        if progress:
            progress(done, total)
    read = total - sum(tensors[key].nbytes for key in skipped)
    return DataReport(len(tensors) - len(skipped), read, tuple(skipped), tuple(findings), tuple(scales))


def _row_findings(
    key: str, header: Header, layer: layers.Layer | None, reader: RowReader, step: Callable[[int], None] | None
) -> list[Finding]:
    """What is suspicious in a weight (by row) or in any other tensor (by value)."""
    expected = _expected(layer)
    flags: dict[str, list[np.ndarray]] = {}
    nan = infinite = values = read = 0
    for piece in reader.rows(key, header):
        found = FLAGS.get(piece.dtype, float_flags)(piece)
        nan, infinite, values, read = nan + found.nan, infinite + found.infinite, values + piece.numel(), read + piece.nbytes
        for what, flagged in found.rows.items():
            flags.setdefault(what, []).append(flagged)
        if step:
            step(read)
    findings = [Finding(key, what, count, values) for what, count in ((NAN, nan), (INFINITE, infinite)) if count]
    for what, parts in flags.items():
        mask = np.concatenate(parts)
        if expected(what) and mask.any():
            findings.append(Finding(key, what, int(mask.sum()), len(mask), _numbers(mask)))
    return findings


def _expected(layer: layers.Layer | None) -> Callable[[str], bool]:
    """Which of the rows' flags mean something: none in a vector, and a row need not use all codes where it shares its scale with others."""
    if layer is None:
        return lambda what: False
    return lambda what: what != NARROW or layer.precision.endswith(layers.A_ROW)


def _has_known_codes(header: Header, layer: layers.Layer | None) -> bool:
    """Bytes may hold anything, unless the scale beside them says that they are codes of ours."""
    return header.dtype in FLAGS and (header.dtype is not torch.uint8 or (layer is not None and layer.is_int4))


def _scale_findings(key: str, values: torch.Tensor, may_be_zero: bool) -> list[Finding]:
    numbers = values.numpy()
    wrong = {NAN: np.isnan(numbers), INFINITE: np.isinf(numbers), NOT_POSITIVE: numbers <= (-1 if may_be_zero else 0)}
    return [Finding(key, what, int(mask.sum()), len(mask), _numbers(mask)) for what, mask in wrong.items() if mask.any()]


def _numbers(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask)[:_FIRST].tolist())


def _range(layer: layers.Layer, values: torch.Tensor) -> ScaleRange:
    values = values[values.isfinite()]
    figures = (float(values.min()), float(values.median()), float(values.max())) if len(values) else (None, None, None)
    return ScaleRange(layer.name, layer.role, *figures, len(values))
