"""What the attention kernels of other packages have in common."""

import torch

from ..checks.finding import Finding
from ..foreign.kernel import Foreign
from ..foreign.packages import Found
from .checks import thorough_check
from .contract import AttentionKernel


class ForeignAttention(Foreign, AttentionKernel):
    """An attention kernel whose code comes with a package that may not be there."""

    def examine(self, found: Found, device: torch.device) -> Finding:
        return thorough_check(self, device, lambda: self.load(found, device))
