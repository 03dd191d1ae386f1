"""Small numeric checks of an attention kernel."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from ..checks.finding import Finding
from ..checks.numeric import Measured, judged, tried
from ..checks.once import once
from ..contract import Verdict
from ..reference import relative_error
from . import reference
from .contract import AttentionKernel, Call


class Case(NamedTuple):
    """A call to check with: its sizes as `Call` names them, and whether it has a mask."""

    batch: int
    queries: int
    keys: int
    heads: int
    groups: int
    width: int
    has_mask: bool = False

    def __str__(self) -> str:
        mask = ", masked" if self.has_mask else ""
        return f"{self.queries} queries by {self.keys} keys, {self.heads} heads over {self.groups} of {self.width}, batch {self.batch}{mask}"


SMALL = (Case(1, 130, 96, 3, 3, 128), Case(1, 130, 96, 3, 3, 128, True))

THOROUGH = tuple(
    Case(*sizes, has_mask)
    for sizes in (
        (1, 1030, 1030, 2, 2, 128), (2, 257, 512, 3, 3, 128), (1, 1, 17, 2, 2, 128), (2, 300, 77, 4, 2, 128), (1, 130, 130, 4, 4, 64),
        (1, 200, 300, 3, 1, 64),
    )
    for has_mask in (False, True)
)  # fmt: skip
"""Several tiles and an odd rest, a text of 512 tokens, a batch as of CFG, one query, shared keys; of these, what a kernel takes."""


@once
def small_check(kernel: AttentionKernel, device: torch.device) -> Verdict:
    """Whether the kernel computes on this device what the oracle does, in this process."""

    def wrong() -> str:
        for what, error, tolerance in _measured(kernel, device, SMALL):
            if not error <= tolerance:
                return f"relative error {error:.3g} in {what}"
        return ""

    return tried(kernel, wrong)


def thorough_check(kernel: AttentionKernel, device: torch.device, load: Callable[[], None]) -> Finding:
    """What many calls of many shapes show; for a process of its own, as it may end it. load: goes first."""

    def measured() -> Iterator[Measured]:
        load()
        yield from _measured(kernel, device, THOROUGH)

    return judged(measured(), "attentions")


def _measured(kernel: AttentionKernel, device: torch.device, cases: Iterable[Case]) -> Iterator[Measured]:
    """Those of the cases that the kernel takes, in each of its dtypes."""
    for case in cases:
        for dtype in kernel.dtypes:
            if kernel.can_run(made(case, dtype, device))[0]:
                what = f"an attention of {case} in {str(dtype).removeprefix('torch.')}"
                yield what, error_of(kernel, device, case, dtype), kernel.tolerance(dtype)


def error_of(kernel: AttentionKernel, device: torch.device, case: Case, dtype: torch.dtype) -> float:
    """The kernel's relative error against the oracle, without touching torch's global random state. The oracle computes on the CPU."""
    call = made(case, dtype, torch.device("cpu"))
    output = kernel.attend(call._replace(**{name: part.to(device) for name, part in call._asdict().items() if isinstance(part, torch.Tensor)}))
    return relative_error(output.cpu(), reference.attention(call))


def made(case: Case, dtype: torch.dtype, device: torch.device) -> Call:
    """A call of random operands, the same each time. Each query sees a few keys much better than the rest, and the scale is not the usual one."""
    generator = torch.Generator().manual_seed(case.queries)

    def draw(length: int, heads: int) -> torch.Tensor:
        # As ComfyUI gives them: a head's rows are a stride apart that is all heads wide.
        return torch.randn(case.batch, length, heads * case.width, generator=generator).to(device, dtype).unflatten(2, (heads, case.width))

    q, k, v = draw(case.queries, case.heads), draw(case.keys, case.groups), draw(case.keys, case.groups)
    mask = (torch.rand(case.batch, 1, case.queries, case.keys, generator=generator) < 0.7).to(device) if case.has_mask else None
    if mask is not None:
        mask[..., 0] = True  # a query that sees nothing is nobody's case
    return Call(q, k, v, 2 * case.width**-0.5, mask)
