"""What a check of a kernel has found."""

from typing import NamedTuple


class Finding(NamedTuple):
    """works: whether its products were right; why: in words for a user; error: the largest relative error seen, None where there is none.

    lasting: whether it says something of the kernel, and not of the moment.
    costly: whether this process keeps it though it does not last, as finding it out again would take minutes.
    """

    works: bool
    why: str
    error: float | None = None
    lasting: bool = True
    costly: bool = False
