"""The activations that every kernel is held to the oracle with: their kinds, their dimensions and strides, their rows and dtypes."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from operands import heavy_tailed

DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def _huge(normal: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """As large as surely leaves the products finite in the dtype; the largest fp16 is 65504."""
    return normal * (4e3 if dtype is torch.float16 else 1e30)


def _with_zero_rows(normal: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    normal[::3] = 0
    return normal


def _with_heavy_tails(normal: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    heavy = heavy_tailed(normal)
    heavy[:, ::64] *= 8
    return heavy


KINDS: dict[str, Callable[[torch.Tensor, torch.dtype], torch.Tensor]] = {
    "random": lambda normal, dtype: normal, "heavy-tailed": _with_heavy_tails, "all-zero rows": _with_zero_rows, "huge": _huge,
}  # fmt: skip
"""Name -> what it makes of normal numbers [M, K]; a single row is all zero under "all-zero rows"."""

VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "1-D": lambda x: x[0],
    "3-D": lambda x: x[None],
    "4-D": lambda x: x.unflatten(0, (2, 3, -1)),
    "5-D": lambda x: x.unflatten(0, (1, 2, 1, -1)),
    "transposed": lambda x: x.t().contiguous().t(),
    "columns of a wider one": lambda x: torch.cat((x, x, x), dim=1)[:, x.shape[1] + 8 :][:, : x.shape[1]],
    "every other row": lambda x: x.repeat_interleave(2, dim=0)[::2],
    "one row repeated": lambda x: x[:1].expand_as(x),
    "permuted 3-D": lambda x: x.unflatten(0, (4, -1)).transpose(0, 1),
}
"""Name -> a view of contiguous [M, K], M being a multiple of 12."""


class Case(NamedTuple):
    """One product. view: a name from VIEWS, or "" for plain rows; about: what results are gathered under."""

    about: str
    kind: str
    view: str
    rows: int
    inputs: int
    outputs: int
    dtype: torch.dtype
    has_bias: bool

    def __str__(self) -> str:
        dtype, bias = str(self.dtype).removeprefix("torch."), "with" if self.has_bias else "without"
        return f"{self.about}: {self.rows} x {self.inputs} to {self.outputs}, {dtype}, {bias} bias"

    def draw(self, device: torch.device) -> torch.Tensor:
        """The activations, the same for the same case."""
        generator = torch.Generator(device).manual_seed(self.rows)
        normal = torch.randn(self.rows, self.inputs, generator=generator, device=device)
        x = KINDS[self.kind](normal, self.dtype).to(self.dtype)
        return VIEWS[self.view](x) if self.view else x


class Sizes(NamedTuple):
    """shape: inputs and outputs of the kinds' products, at all rows; more: shapes that are tried at the few rows alone."""

    rows: tuple[int, ...]
    shape: tuple[int, int]
    more: tuple[tuple[int, int], ...]
    few_rows: tuple[int, ...] = (1, 17, 33)
    viewed_rows: int = 24


FULL = Sizes((1, 16, 17, 513, 32760), (5120, 5120), ((5120, 13824), (13824, 5120), (1536, 8960), (4096, 10240), (5120, 64), (1000, 200), (1000, 201)))
SMALL = Sizes((1, 17), (256, 192), ((200, 52), (17, 9)))
"""For machines that are not a GPU."""


def cases(sizes: Sizes) -> Iterator[Case]:
    """The whole matrix: kinds by rows by dtypes by bias; views by dtypes by bias; shapes by few rows by dtypes."""
    for kind in KINDS:
        for dtype in DTYPES:
            for rows in sizes.rows:
                yield from (Case(kind, kind, "", rows, *sizes.shape, dtype, has_bias) for has_bias in (True, False))
    for view in VIEWS:
        for dtype in DTYPES:
            yield from (Case(view, "random", view, sizes.viewed_rows, *sizes.shape, dtype, has_bias) for has_bias in (True, False))
    for shape in sizes.more:
        for dtype in DTYPES:
            yield from (Case("other shapes", "heavy-tailed", "", rows, *shape, dtype, True) for rows in sizes.few_rows)
