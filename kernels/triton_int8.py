"""`int8-triton`: int8-channel weights multiplied by Triton kernels that apply the scales and the bias where the product ends.

Accumulation is exact (int32), so the error against the oracle is the rounding of the output alone.
"""

import torch

from .contract import Verdict
from .triton_product import TritonProduct

MOST_INPUTS = 1 << 17
"""So many products of codes, 127 by -128 at worst, fit in an int32."""


class INT8Triton(TritonProduct):
    name, format = "int8-triton", "int8-channel"
    lowest = (8, 0)

    def can_run(self, rows: int, in_features: int, out_features: int, dtype: torch.dtype, device: torch.device) -> Verdict:
        if in_features > MOST_INPUTS:
            return False, f"sums of more than {MOST_INPUTS} products may not fit in an int32, this weight has {in_features} inputs"
        return super().can_run(rows, in_features, out_features, dtype, device)


VARIANTS = (INT8Triton(descriptors=True), INT8Triton(descriptors=False))
"""Best first."""
