"""What `auto` takes for a format."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..errors import KernelError
from ..kernels import select
from ..schemes import AUTO


class AutoTakes(NamedTuple):
    """What `auto` runs for a format. scheme: None where nothing runs, or where that isn't known; why says which."""

    format: str
    scheme: str | None
    variant: str
    why: str

    @property
    def said(self) -> str:
        """The scheme and why, in one line."""
        return f"{self.scheme}: {self.why}" if self.scheme else self.why


def auto_takes(format_name: str, device: torch.device, preferred: Sequence[str] = (), checking: bool = True) -> AutoTakes:
    """What `auto` runs for weights of a format on a device, or why it would stop. preferred, checking: as for select."""
    try:
        chosen = select(AUTO, format_name, device, preferred=preferred, checking=checking)
    except KernelError as problem:
        return AutoTakes(format_name, None, "", str(problem))
    except torch.OutOfMemoryError:
        return AutoTakes(format_name, None, "", "the device had no memory left to find out: free some and try again")
    return AutoTakes(format_name, chosen.kernel.name, chosen.kernel.variant, chosen.why.removeprefix(f"{AUTO}: "))
