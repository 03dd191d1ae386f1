"""Activations ready for a product, and the ways of quantizing them."""

from typing import NamedTuple

import torch


class Coding(NamedTuple):
    """How activations are quantized.

    dtype: of the codes; group: how many activations of a row share a scale, None: all of them.
    """

    dtype: torch.dtype
    group: int | None = None


class Rows(NamedTuple):
    """Activations ready for a product.

    values: [M, K], in the kernel's 8-bit dtype, or in the float dtype they came in.
    scale: fp32 [M, 1], one a row (token), or [M, G], one for each 128 of a row; None where the values are float as they came.
    """

    values: torch.Tensor
    scale: torch.Tensor | None


GROUP = 128
"""How many activations of a row share a scale where a row has several."""

CHECKED_WIDTH = 5120
"""The checks run at the width of a 14B model, so that what they compile is what it needs next."""


def floats(rows: Rows) -> torch.Tensor:
    """The activations [M, K] that rows stand for, in fp32."""
    if rows.scale is None or rows.scale.shape[1] == 1:
        return rows.values.float() if rows.scale is None else rows.values.float() * rows.scale
    return rows.values.float() * rows.scale.repeat_interleave(GROUP, dim=1)[:, : rows.values.shape[1]]
