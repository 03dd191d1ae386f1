"""What a loader is asked for."""

from dataclasses import dataclass

from ..schemes import AUTO


@dataclass(frozen=True)
class Request:
    """What a loader node was asked for.

    component: dit, t5 or clip; path: the checkpoint; scheme: a scheme's name or auto; dtype: a name from DTYPES or auto.
    may_substitute: whether another kernel of the format may run where the scheme's can't.
    tokenizer: the path to take a T5's tokenizer from, or None to look for it.
    """

    component: str
    path: str
    scheme: str = AUTO
    dtype: str = AUTO
    may_substitute: bool = True
    tokenizer: str | None = None
