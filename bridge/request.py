"""What a loader is asked for."""

from dataclasses import dataclass, field

from ..schemes import AUTO, formats_of
from . import folders
from .settings import preferred_kernels

FIND = "find it"
SUBSTITUTE, STOP = "substitute", "stop"
"""What the loaders' dropdowns offer beside names."""


@dataclass(frozen=True)
class Request:
    """What a loader node was asked for.

    component: dit, t5 or clip; path: the checkpoint; scheme: a scheme's name or auto; dtype: a name from DTYPES or auto.
    may_substitute: whether another kernel of the format may run where the scheme's can't.
    tokenizer: the path to take a T5's tokenizer from, or None to look for it.
    preferred: what auto tries first: the settings of the moment in which it was asked for.
    """

    component: str
    path: str
    scheme: str = AUTO
    dtype: str = AUTO
    may_substitute: bool = True
    tokenizer: str | None = None
    preferred: tuple[str, ...] = field(default_factory=preferred_kernels)


def chosen(name: str) -> str | None:
    """What the user picked in a dropdown that begins with FIND; None: nothing."""
    return None if name == FIND else name


def requested(component: str, scheme: str, checkpoint: str, dtype: str, missing_kernel: str, tokenizer: str = FIND) -> Request:
    """The request of a loader with these values. Raises CheckpointError or DiscoveryError where they lead to no file."""
    return Request(
        component=component,
        path=folders.checkpoint_path(component, chosen(checkpoint), formats_of(scheme)),
        scheme=scheme,
        dtype=dtype,
        may_substitute=missing_kernel == SUBSTITUTE,
        tokenizer=folders.tokenizer_path(tokenizer) if chosen(tokenizer) else None,
    )
