"""In which order `auto`, and a scheme whose kernel is missing, try the kernels of a format: by GPU, fastest first."""

from typing import NamedTuple

import torch


class Order(NamedTuple):
    """schemes: fastest first. basis: "measured" or "expected", with on what."""

    schemes: tuple[str, ...]
    basis: str


H200 = "measured on an H200"
EXPECTED = "expected, not measured"

_ORDERS: dict[str, tuple[tuple[tuple[int, int], tuple[int, int], Order], ...]] = {
    "fp8-channel": (
        ((9, 0), (9, 0), Order(("fp8-torch", "fp8-sgl", "fp8-vllm", "fp8-triton"), H200)),
        ((10, 0), (11, 9), Order(("fp8-torch", "fp8-sgl", "fp8-vllm", "fp8-triton"), EXPECTED)),
        ((8, 9), (99, 0), Order(("fp8-sgl", "fp8-vllm", "fp8-triton", "fp8-torch"), EXPECTED)),
    ),
    "int8-channel": (
        ((9, 0), (9, 0), Order(("int8-vllm", "int8-sgl", "int8-triton", "int8-torchao", "int8-kitchen", "int8-torch"), H200)),
        ((8, 0), (8, 9), Order(("int8-vllm", "int8-sgl", "int8-triton", "int8-kitchen", "int8-torch"), EXPECTED)),
        ((7, 5), (7, 5), Order(("int8-vllm", "int8-sgl", "int8-kitchen", "int8-torch"), EXPECTED)),
        ((10, 0), (99, 0), Order(("int8-triton", "int8-kitchen", "int8-torch"), EXPECTED)),
    ),
    "fp8-b128": (
        ((9, 0), (9, 0), Order(("fp8-b128-deepgemm", "fp8-b128-torch"), H200)),
        ((10, 0), (10, 3), Order(("fp8-b128-deepgemm", "fp8-b128-torch"), EXPECTED)),
    ),
    "int4-g128": (
        ((9, 0), (9, 0), Order(("int4-g128-marlin", "int4-g128-triton", "int4-g128-torch"), H200)),
        ((8, 0), (99, 0), Order(("int4-g128-marlin", "int4-g128-triton", "int4-g128-torch"), EXPECTED)),
    ),
}
"""Format -> lowest and highest compute capability, and the order there. `int4-g128-a8-triton` is in none: it rounds the activations, which int4 alone
does not, so it is the user's to choose."""


def order_of(format_name: str, device: torch.device) -> Order:
    """The order on a device; the last one runs everywhere that torch has the format's dtype."""
    if device.type == "cuda" and torch.version.hip is None:
        capability = torch.cuda.get_device_capability(device)
        for lowest, highest, order in _ORDERS[format_name]:
            if lowest <= capability <= highest:
                return order
    return Order((last_resort(format_name),), EXPECTED)


def last_resort(format_name: str) -> str:
    """The scheme that needs nothing but torch."""
    return f"{format_name.removesuffix('-channel')}-torch"
