"""`int4-g128-marlin`: Marlin's int4 products, from whichever package has them; many rows are multiplied by the expanded weight instead.

Marlin's own kernel is IST-DASLab's (`marlin`; LightX2V calls a rebuilt one, `marlin_cuda_quant`), fp16 only; vLLM and older sgl-kernels carry a
successor as a torch operator. All of them read the packing of formats/int4_marlin.py. Activations go in as fp16, each row divided by a power of two
so that neither they nor their products overflow; the power of two and the bias are applied to the product in fp32.

Marlin keeps partial sums in fp16 where several blocks share a tile, hence the wider tolerance.
"""

import importlib
from collections.abc import Callable
from typing import ClassVar

import torch

from ..formats import INT4_MARLIN, QuantizedWeight
from . import triton_int4
from .checks.finding import Finding
from .checks.numeric import thorough_check
from .contract import Verdict
from .devices import nvidia
from .foreign.kernel import ForeignKernel
from .foreign.libraries import arguments_of, has_operator, register
from .foreign.packages import Found, Package
from .operators import operator
from .rows import Rows
from .sgl import SGL, libraries
from .vllm import LIBRARIES as VLLM_LIBRARIES
from .vllm import VLLM

FEW_ROWS, FEWEST_WEIGHTS = 64, 48 << 20
"""Marlin multiplies up to so many rows by at least so many weights; elsewhere expanding the weight first is faster. Measured on an H200: with weights
of 5120 x 13824 Marlin wins up to 64 rows, with those of 5120 x 5120 and smaller ones never (benchmarks/linear.py)."""

LARGEST = 2.0**-5
"""Rows are scaled to below this: a product of 13824 inputs then overflows fp16 only with weights above 150."""

UINT4B8 = 1125899907892224
"""The id of vLLM's type of 4 bits that are stored with 8 added."""

TYPES = ("b_type_id", "b_q_type_id", "b_q_type")
"""The parameter that takes it: in vllm since 0.14 at the latest, in sgl-kernel, and in vllm 0.8 to 0.11. Before vllm 0.6.5 the last was no number."""

VLLM_OPERATORS = ("_C::marlin_gemm", "_C::gptq_marlin_gemm")
"""The current name first. Up to vllm 0.10 the first is another, older product, beside the second."""

SGL_OPERATOR = "sgl_kernel::gptq_marlin_gemm"

_EXPONENT = 0x7F800000
"""The exponent's bits of an fp32."""

_MANY_ROWS = triton_int4.VARIANTS[0]


def to_fp16(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Contiguous fp16 rows below LARGEST in magnitude and the fp32 powers of two [M, 1] that they were divided by. NaN and infinity stay visible."""
    amax = x.abs().amax(dim=1, keepdim=True).float()
    power = (amax.view(torch.int32) & _EXPONENT).view(torch.float32).clamp(min=2.0**-100) * (2 / LARGEST)
    return (x.float() / power).half().contiguous(), power


def is_grouped(name: str) -> bool:
    """Whether an operator is Marlin's product for weights of any type, in groups, the type being given by its id."""
    return has_operator(name) and any(argument.name in TYPES and argument.type.kind() == "IntType" for argument in arguments_of(name))


def call_operator(name: str, values: torch.Tensor, data: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """A Marlin operator of any version, whose arguments are told by their names.

    gptq_marlin_gemm up to vllm 0.14 and in sgl-kernel, marlin_gemm since. What is not used is an empty tensor in vllm 0.8, None since 0.11 at the
    latest; act-order's arguments are gone from vllm 0.30 on.
    """
    (rows, inner), outputs = values.shape, scale.shape[1]
    processors = torch.cuda.get_device_properties(values.device).multi_processor_count
    known = {
        "a": values, "b_q_weight": data, "b_scales": scale, "size_m": rows, "size_n": outputs, "size_k": inner, "is_k_full": True,
        "use_atomic_add": False, "use_fp32_reduce": True, "is_zp_float": False, "has_zp": False, **dict.fromkeys(TYPES, UINT4B8),
        "workspace": torch.zeros(max(4 * processors, outputs // 64 * 16), dtype=torch.int32, device=values.device),
    }  # fmt: skip
    nothing = torch.empty(0, dtype=torch.int32, device=values.device)
    arguments = []
    for argument in arguments_of(name):
        if argument.name in known:
            arguments.append(known[argument.name])
        elif argument.type.kind() == "OptionalType":
            arguments.append(None)
        elif argument.type.kind() == "TensorType":
            arguments.append(nothing)
        else:
            raise TypeError(f"its operator {name} has an argument {argument.name} that this version of LightQuant does not know")
    namespace, operator_name = name.split("::")
    return getattr(getattr(torch.ops, namespace), operator_name)(*arguments)


def call_module(name: str, values: torch.Tensor, data: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Marlin's own extension; thread_k, thread_n, sms and max_par are left to it, in LightX2V's rebuilt one by saying so."""
    y = values.new_empty((values.shape[0], scale.shape[1]))
    workspace = torch.zeros(scale.shape[1] // 128 * 16, dtype=torch.int32, device=values.device)
    importlib.import_module(name).mul(values, data, y, scale, workspace, *(() if name == "marlin" else (-1, -1, -1, -1)))
    return y


PROVIDERS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "vllm": lambda *operands: call_operator(next(filter(is_grouped, VLLM_OPERATORS)), *operands),
    "sgl": lambda *operands: call_operator(SGL_OPERATOR, *operands),
    "marlin": lambda *operands: call_module("marlin", *operands),
    "marlin_cuda_quant": lambda *operands: call_module("marlin_cuda_quant", *operands),
}
"""What multiplies fp16 rows [M, K] with codes and scales in Marlin's packing, into fp16 [M, N]."""


def is_marlins(rows: int, weights: int) -> bool:
    """Whether Marlin's own product is the faster way for so many rows and weights."""
    return rows <= FEW_ROWS and weights >= FEWEST_WEIGHTS


def _fake(x, data, scale, bias, provider):
    return x.new_empty((x.shape[0], scale.shape[1]))


@operator("marlin_linear(Tensor x, Tensor data, Tensor scale, Tensor? bias, str provider) -> Tensor", _fake)
def marlin_linear(x: torch.Tensor, data: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, provider: str) -> torch.Tensor:
    """x [M, K] @ W.T + bias in x's dtype, by a provider or, where rows are many and Triton works, by the expanded weight."""
    is_float = x.dtype is torch.float32
    if not is_float and not is_marlins(x.shape[0], x.shape[1] * scale.shape[1]) and _MANY_ROWS.is_supported(x.device)[0]:
        return _MANY_ROWS.matmul(Rows(x, None), QuantizedWeight(data, scale), bias, x.dtype)
    return provided(x, data, scale, bias, provider)


def provided(x: torch.Tensor, data: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, provider: str) -> torch.Tensor:
    """The same by the provider, however many rows and weights there are."""
    values, power = to_fp16(x)
    y = PROVIDERS[provider](values, data, scale).float() * power
    return (y if bias is None else y + bias).to(x.dtype)


class _Marlin(ForeignKernel):
    name, format = "int4-g128-marlin", "int4-g128"
    packings = (INT4_MARLIN.packing,)
    provider: ClassVar[str]
    in_multiple, out_multiple = 128, 64

    def __init__(self, alone: bool = False):
        """alone: whether the provider multiplies all there is, and not only what it is the faster way for."""
        self.multiply = provided if alone else marlin_linear

    def runs_on(self, device: torch.device) -> Verdict:
        return nvidia(device, (8, 0), but="Marlin needs asynchronous copies")

    def tolerance(self, dtype: torch.dtype) -> float:
        return 0.008

    def matmul(self, rows: Rows, weight: QuantizedWeight, bias: torch.Tensor | None, out_dtype: torch.dtype) -> torch.Tensor:
        return self.multiply(rows.values, weight.data, weight.scale, bias, self.provider).to(out_dtype)

    def examine(self, found: Found, device: torch.device) -> Finding:
        """Of the provider alone: weights of the check's sizes are too small for it, and would all be expanded."""
        return thorough_check(type(self)(alone=True), device, lambda: self.load(found, device))


class VLLMMarlin(_Marlin):
    package, variant, provider = VLLM, "vLLM's Marlin operator", "vllm"

    def load(self, found: Found, device: torch.device) -> None:
        register(found, VLLM_LIBRARIES, VLLM_OPERATORS, "vllm._custom_ops", any_of=True)
        if not any(map(is_grouped, VLLM_OPERATORS)):
            raise ImportError("its Marlin operator takes no type of weights: it is older than those that LightQuant knows")


class SGLMarlin(_Marlin):
    package, variant, provider = SGL, "sgl-kernel's Marlin operator", "sgl"

    def load(self, found: Found, device: torch.device) -> None:
        register(found, libraries(device), [SGL_OPERATOR], "sgl_kernel")


class ISTMarlin(_Marlin):
    package = Package("Marlin", ("marlin",), "marlin", {}, "build it from github.com/IST-DASLab/marlin; `marlin` on PyPI is something else")
    variant, provider = "Marlin itself", "marlin"
    out_multiple = 256

    def load(self, found: Found, device: torch.device) -> None:
        if not hasattr(importlib.import_module(found.module), "mul"):
            raise ImportError(f"its module {found.module} has no function mul: it is another package of that name")


class RebuiltMarlin(ISTMarlin):
    package = Package("marlin_cuda_quant", ("marlin_cuda_quant",), "marlin_cuda_quant", {}, "LightX2V's documentation names it without a source")
    variant, provider = "Marlin as marlin_cuda_quant", "marlin_cuda_quant"


VARIANTS = (VLLMMarlin(), SGLMarlin(), ISTMarlin(), RebuiltMarlin())
"""Best first."""
