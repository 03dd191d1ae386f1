"""The schemes: the names a user picks, each one format and one kernel. The first nine are LightX2V's and may not change."""

from collections.abc import Iterable
from typing import NamedTuple

from .formats import FORMATS


class Scheme(NamedTuple):
    """One row of the table.

    name: what workflows, configurations and files call it.
    format: how the weight is stored.
    package: where the kernel comes from, as a user would search for it.
    runs_on: the hardware it can run on, and why not elsewhere.
    """

    name: str
    format: str
    package: str
    runs_on: str


_TABLE = (
    Scheme("fp8-vllm", "fp8-channel", "vllm", "sm_89 and newer: RTX 40 and 50, Hopper, Blackwell; older GPUs have no fp8 products"),
    Scheme("int8-vllm", "int8-channel", "vllm", "sm_75 to sm_90: RTX 20 to 40, A100, Hopper; vLLM has no int8 product for Blackwell"),
    Scheme("fp8-sgl", "fp8-channel", "sglang-kernel", "sm_89 and newer: RTX 40 and 50, Hopper, Blackwell; older GPUs have no fp8 products"),
    Scheme("int8-sgl", "int8-channel", "sglang-kernel", "sm_75 (fp16 only) to sm_90: RTX 20 to 40, A100, Hopper; not implemented for Blackwell"),
    Scheme("fp8-q8f", "fp8-channel", "q8_kernels", "sm_89: RTX 40, L40S; the package is built for that GPU alone and writes bf16 only"),
    Scheme("int8-q8f", "int8-channel", "q8_kernels", "sm_89: RTX 40, L40S; forks of the package build for others"),
    Scheme("int8-torchao", "int8-channel", "torchao", "sm_80 and newer, where its Triton product runs; and CPUs with VNNI"),
    Scheme("int4-g128-marlin", "int4-g128", "Marlin", "sm_80 and newer: RTX 30 to 50, A100, Hopper (not tuned for it), Blackwell"),
    Scheme("fp8-b128-deepgemm", "fp8-b128", "DeepGEMM", "sm_90 and sm_100: Hopper and data-centre Blackwell; it has no kernels for RTX cards"),
    Scheme("fp8-torch", "fp8-channel", "torch", "everything whose torch has fp8 (MPS may not); fp8 products on sm_89 and newer, else expanded"),
    Scheme("int8-torch", "int8-channel", "torch", "everything; int8 products on sm_75 and newer and CPUs with VNNI, else the weight is expanded"),
    Scheme("int4-g128-torch", "int4-g128", "torch", "everything, from sm_75 and older to the CPU; the weight is expanded"),
    Scheme("fp8-b128-torch", "fp8-b128", "torch", "everything whose torch has fp8 (MPS may not); products of blocks on sm_90, else expanded"),
    Scheme("fp8-triton", "fp8-channel", "Triton", "sm_89 and newer: RTX 40 and 50, Hopper, Blackwell; older GPUs have no fp8 products"),
    Scheme("int8-triton", "int8-channel", "Triton", "sm_80 and newer: RTX 30 to 50, A100, Hopper, Blackwell; Triton has no tensor cores for sm_75"),
    Scheme("int4-g128-triton", "int4-g128", "Triton", "sm_80 and newer: RTX 30 to 50, A100, Hopper, Blackwell"),
    Scheme("int4-g128-a8-triton", "int4-g128", "Triton", "sm_80 and newer; it rounds activations to int8, which auto leaves to you to choose"),
    Scheme("int8-kitchen", "int8-channel", "comfy-kitchen", "sm_75 and newer; ComfyUI comes with the package"),
)

SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in _TABLE}

ENCODER_ALIASES: dict[str, str] = {"fp8": "fp8-sgl", "int8": "int8-vllm"}
"""What LightX2V's configurations call two schemes of the text and image encoders; for the DiT there are no short names."""



class Attention(NamedTuple):
    """A name by which a user picks what computes a DiT's attention.

    package: where the kernel comes from, as a user would search for it. is_exact: whether it quantizes nothing.
    runs_on: the hardware it can run on, and why not elsewhere.
    """

    name: str
    package: str
    is_exact: bool
    runs_on: str


_ATTENTIONS = (
    Attention("flash-attention-3", "vllm or FlashAttention-3", True, "sm_90: Hopper, for which it is written"),
    Attention("sdpa-cudnn", "torch", True, "sm_80 and newer: RTX 30 to 50, A100, Hopper, Blackwell"),
    Attention("sdpa-flash", "torch", True, "sm_80 and newer, AMD GPUs, and CPUs, for which torch has another one"),
    Attention("sdpa-efficient", "torch", True, "sm_75 and newer, and AMD GPUs"),
    Attention("flash-attention-2", "flash-attn", True, "sm_80 and newer: RTX 30 to 50, A100, Hopper, Blackwell"),
    Attention("sage", "SageAttention", False, "sm_80 and newer; which of its kernels runs depends on the GPU and the version, 1 or 2"),
    Attention("int8-kitchen", "comfy-kitchen", False, "sm_75 and newer, from comfy-kitchen 0.2.40 on"),
)

ATTENTIONS: dict[str, Attention] = {attention.name: attention for attention in _ATTENTIONS}
"""The exact ones first."""

COMFYUI = "comfyui"
"""Not one of them: ComfyUI's own attention, as it was started."""

AUTO = "auto"
"""Not a scheme: the fastest one for this GPU, these packages and the checkpoint's format; of attentions the fastest exact one measured here."""


_KERNELS = {"sglang-kernel": "sgl", "sgl-kernel": "sgl", "q8_kernels": "q8f", "deep_gemm": "deepgemm", "comfy-kitchen": "kitchen"}
"""What users call the kernels of some packages -> what the schemes' names have for it."""


def called(names: Iterable[str], format_name: str) -> list[str]:
    """The schemes of a format that these names mean, in their order: schemes, or packages whose kernels they are, in any letter case."""
    family, wanted = format_name.removesuffix("-channel"), [name.lower() for name in names]
    meant = [scheme for name in wanted for scheme in (name, f"{family}-{_KERNELS.get(name, name)}") if scheme in schemes_of(format_name)]
    return list(dict.fromkeys(meant))


def formats_of(scheme: str) -> list[str]:
    """The formats that a scheme reads: its own one, or, for auto and for names that are no scheme, all that the pack reads."""
    return [SCHEMES[scheme].format] if scheme in SCHEMES else list(FORMATS)


def schemes_of(format_name: str) -> list[str]:
    """The names of the schemes that read this format, in the table's order."""
    return [scheme.name for scheme in SCHEMES.values() if scheme.format == format_name]
