"""`int8-torch`: int8-channel weights multiplied by torch._int_mm, with the scales and the bias applied after it.

Accumulation is exact (int32), so the error against the oracle is the rounding of the output alone.
"""

import torch
import torch.nn.functional as F

from .checks.numeric import small_check
from .contract import Verdict
from .devices import capability
from .expand import Expanded
from .foreign.packages import TORCH
from .operators import MATMUL_ARGUMENTS, fake_matmul, operator
from .pieces import pieces
from .rescale import rescale
from .scaled_product import ScaledProduct

FEWEST_ROWS = 32
"""torch._int_mm on CUDA refuses fewer than 17 rows and sizes not divisible by 8; both are padded with zeros."""

PIECE_BYTES, PIECE_ROWS = 128 << 20, 256
"""int32 products that exist at once, in multiples of so many rows. With 256 MiB a 14B step on an H200 needed 0.08 GiB more than ComfyUI core's."""


def _pad(x: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    return x if x.shape == (rows, columns) else F.pad(x, (0, columns - x.shape[1], 0, rows - x.shape[0]))


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


@operator("int8_mm_matmul" + MATMUL_ARGUMENTS, fake_matmul)
def int8_mm_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """int32 products in pieces of rows, each rescaled into its place before the next."""
    (count, inner), (outer, _) = rows.shape, data.shape
    y = fake_matmul(rows, row_scale, data, scale, bias, out_dtype)
    weight = _pad(data, _up(outer, 8), _up(inner, 8))
    for part in pieces(count, max(PIECE_ROWS, PIECE_BYTES // (4 * weight.shape[0]) // PIECE_ROWS * PIECE_ROWS)):
        height = part.stop - part.start
        padded = _pad(rows[part], max(height, FEWEST_ROWS), weight.shape[1])
        rescale(torch._int_mm(padded, weight.t())[:height, :outer], row_scale[part], scale, bias, y[part])
    return y


def cpu_has_int8_dot_products() -> bool:
    """Without them torch._int_mm was seen to take eighteen times as long as a float product; torch 2.11 is the first to say."""
    return getattr(torch.cpu, "get_capabilities", dict)().get("avx512_vnni", False)


class IntMM(ScaledProduct):
    name, format, variant = "int8-torch", "int8-channel", "torch._int_mm, scales and bias after it"
    package, product = TORCH, int8_mm_matmul

    def is_supported(self, device: torch.device) -> Verdict:
        if (found := capability(device)) is not None and found < (7, 5):
            return False, "it needs int8 tensor cores (sm_75 and newer)"
        if device.type == "cpu" and not cpu_has_int8_dot_products():
            return False, "this CPU has no int8 dot products (avx512_vnni), so torch._int_mm would be slower than a float product"
        return small_check(self, device) if device.type in ("cuda", "cpu") else (False, f"torch._int_mm does not exist on {device.type.upper()}")


VARIANTS = (IntMM(), Expanded("int8-torch", "int8-channel", "no int8 products here"))
"""Best first; the last one runs everywhere."""
