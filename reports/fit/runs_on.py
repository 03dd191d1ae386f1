"""Which of a scheme's kernels a card runs, by the label that measurements call it, and in which numbers that multiplies."""

from typing import NamedTuple

from ...kernels.devices import Capability, within
from ...schemes import SCHEMES
from .cards import FLOAT16, FP8, INT8, Card
from .sizes import FLOAT


class Runs(NamedTuple):
    """A kernel and the capabilities that it runs on. label: in measured.json; number: what it multiplies; highest: None for no end."""

    scheme: str
    label: str
    number: str
    lowest: Capability
    highest: Capability | None = None


_TURING, _AMPERE, _ADA, _HOPPER = (7, 5), (8, 0), (8, 9), (9, 0)

_TABLE = (
    Runs(FLOAT, FLOAT, FLOAT16, _TURING),
    Runs("fp8-vllm", "fp8-vllm", FP8, _ADA),
    Runs("int8-vllm", "int8-vllm", INT8, _TURING, _HOPPER),
    Runs("fp8-sgl", "fp8-sgl", FP8, _ADA),
    Runs("int8-sgl", "int8-sgl", INT8, _TURING, _HOPPER),
    Runs("fp8-q8f", "fp8-q8f", FP8, _ADA, _ADA),
    Runs("int8-q8f", "int8-q8f", INT8, _AMPERE),
    Runs("int8-torchao", "int8-torchao", INT8, _AMPERE),
    Runs("int4-g128-marlin", "int4-g128-marlin", FLOAT16, _AMPERE),
    Runs("fp8-b128-deepgemm", "fp8-b128-deepgemm", FP8, _HOPPER, (10, 3)),
    Runs("fp8-torch", "fp8-torch", FP8, _HOPPER, (10, 3)),
    Runs("fp8-torch", "fp8-torch (2)", FP8, _ADA),
    Runs("fp8-torch", "fp8-torch (3)", FLOAT16, _TURING),
    Runs("int8-torch", "int8-torch", INT8, _TURING),
    Runs("int4-g128-torch", "int4-g128-torch", FLOAT16, _TURING),
    Runs("fp8-b128-torch", "fp8-b128-torch", FP8, _HOPPER, _HOPPER),
    Runs("fp8-b128-torch", "fp8-b128-torch (2)", FLOAT16, _TURING),
    Runs("fp8-triton", "fp8-triton", FP8, _HOPPER, _HOPPER),
    Runs("fp8-triton", "fp8-triton (2)", FP8, _ADA),
    Runs("int8-triton", "int8-triton", INT8, _HOPPER, _HOPPER),
    Runs("int8-triton", "int8-triton (2)", INT8, _AMPERE),
    Runs("int4-g128-triton", "int4-g128-triton", FLOAT16, _AMPERE),
    Runs("int4-g128-a8-triton", "int4-g128-a8-triton", INT8, _HOPPER, _HOPPER),
    Runs("int4-g128-a8-triton", "int4-g128-a8-triton (2)", INT8, _AMPERE),
    Runs("int8-kitchen", "int8-kitchen", INT8, _TURING),
)
"""Of a scheme's rows the first that fits a card holds. Labels that have not been measured are in it too."""

ASKABLE = (FLOAT, *SCHEMES)
"""What can be asked about: the float model and every scheme."""


def runs_on(scheme: str, card: Card) -> Runs | None:
    """The kernel that a scheme, or FLOAT, runs on a card; None where it has none."""
    return next((row for row in _TABLE if row.scheme == scheme and within(card.capability, row.lowest, row.highest)), None)


def format_of(scheme: str) -> str:
    """Of the file that a scheme reads; FLOAT of FLOAT."""
    return FLOAT if scheme == FLOAT else SCHEMES[scheme].format
