"""In which order `auto`, and a scheme whose kernel is missing, try the kernels of a format: by GPU, fastest first."""

from typing import NamedTuple

import torch

from .devices import Capability, capability, within


class Order(NamedTuple):
    """schemes: fastest first, and the last resort at the end. basis: "measured" or "expected", with on what."""

    schemes: tuple[str, ...]
    basis: str


EXPECTED = "expected, not measured"
MEASURED_ON_H200 = "measured on an H200"

_ORDERS: dict[str, tuple[tuple[Capability, Capability | None, Order], ...]] = {
    "fp8-channel": (
        ((9, 0), (9, 0), Order(("fp8-torch", "fp8-vllm", "fp8-triton", "fp8-sgl"), MEASURED_ON_H200)),
        ((10, 0), (11, 9), Order(("fp8-torch", "fp8-sgl", "fp8-vllm", "fp8-triton"), EXPECTED)),
        ((8, 9), None, Order(("fp8-sgl", "fp8-vllm", "fp8-triton"), EXPECTED)),
    ),
    "int8-channel": (
        ((9, 0), (9, 0), Order(("int8-vllm", "int8-sgl", "int8-triton", "int8-torchao", "int8-kitchen"), MEASURED_ON_H200)),
        ((8, 0), (8, 9), Order(("int8-vllm", "int8-sgl", "int8-triton", "int8-torchao", "int8-kitchen"), EXPECTED)),
        ((7, 5), (7, 5), Order(("int8-vllm", "int8-sgl", "int8-kitchen"), EXPECTED)),
        ((10, 0), None, Order(("int8-triton", "int8-torchao", "int8-kitchen"), EXPECTED)),
    ),
    "fp8-b128": (
        ((9, 0), (9, 0), Order(("fp8-b128-deepgemm",), MEASURED_ON_H200)),
        ((10, 0), (10, 3), Order(("fp8-b128-deepgemm",), EXPECTED)),
    ),
    "int4-g128": (
        ((9, 0), (9, 0), Order(("int4-g128-marlin", "int4-g128-triton"), MEASURED_ON_H200)),
        ((8, 0), None, Order(("int4-g128-marlin", "int4-g128-triton"), EXPECTED)),
    ),
}  # fmt: skip
"""Format -> lowest and highest compute capability, and the order there, which the last resort ends.

In none are `int4-g128-a8-triton`, which rounds the activations as int4 alone does not, so it is the user's to choose; and `fp8-q8f` and `int8-q8f`,
which have run on no GPU yet (q8f.py).
"""


def order_of(format_name: str, device: torch.device) -> Order:
    """The order on a device. It ends in what runs everywhere that torch has the format's dtype, also where that is the fastest of all."""
    found, last = capability(device), last_resort(format_name)
    for lowest, highest, order in _ORDERS[format_name] if found else ():
        if within(found, lowest, highest):
            return order._replace(schemes=(*order.schemes, last))
    return Order((last,), EXPECTED)


def last_resort(format_name: str) -> str:
    """The scheme that needs nothing but torch."""
    return f"{format_name.removesuffix('-channel')}-torch"
