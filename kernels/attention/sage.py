"""`sage`: SageAttention, which rounds q and k to int8, and in version 2 on newer GPUs the probabilities and v to fp8: approximate.

`sageattn(q, k, v, tensor_layout=, is_causal=, sm_scale=)` from 1.0.3 on; which version is installed decides what runs (1: Triton; 2: CUDA).
"""

import importlib
import inspect

import torch

from ..contract import Verdict
from ..devices import nvidia
from ..foreign.packages import Found, Package
from ..operators import operator
from .contract import LAYOUT, Call, dense, fake_attention
from .foreign import ForeignAttention

SAGE = Package(
    "SageAttention", ("sageattention",), "sageattention", {}, "pip install --no-deps sageattention==1.0.6 for version 1, or build version 2 from "
    "github.com/thu-ml/SageAttention",
)  # fmt: skip

_NEEDED = {"tensor_layout", "sm_scale"}


@operator("sage" + LAYOUT, fake_attention)
def sage(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """sageattention.sageattn."""
    return importlib.import_module(SAGE.module).sageattn(*dense(q, k, v), tensor_layout="NHD", is_causal=False, sm_scale=scale).contiguous()


class Sage(ForeignAttention):
    name, package, is_exact = "sage", SAGE, False

    @property
    def variant(self) -> str:
        """Which of the versions is installed."""
        found = self.found()
        return f"SageAttention {found.version}".rstrip() if found else "SageAttention"

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 0), but="SageAttention has no kernels for older ones")

    def load(self, found: Found, device: torch.device) -> None:
        function = getattr(importlib.import_module(SAGE.module), "sageattn", None)
        if function is None or not set(inspect.signature(function).parameters) >= _NEEDED:
            raise ImportError("it has no function sageattn with tensor_layout and sm_scale: LightQuant knows 1.0.3 to 2.2")

    def attend(self, call: Call) -> torch.Tensor:
        return sage(*call[:4])


VARIANTS = (Sage(),)
