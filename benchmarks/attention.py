"""Every attention kernel that runs here, on Wan's attentions, beside what ComfyUI asks torch for, in the same rounds. Needs no ComfyUI.

    python benchmarks/attention.py --out benchmarks/results/NAME.json

For each attention: the time of each kernel that takes it, the error of some heads and rows against fp32 arithmetic on the same operands, whether a
second call gives the same bits, and the host's time for a call that the hook hands on. What a kernel refuses is listed with its reason: in a graph
ComfyUI's own attention gets it.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import attention_plan
import host
import torch
import torch.nn.functional as F
from attention_plan import Attention
from lightquant.attention.override import Override
from lightquant.kernels.attention import KERNELS, AttentionKernel, Call, check_all, reference
from lightquant.kernels.checks.numeric import first_line
from lightquant.kernels.reference import relative_error
from running import parser, poison, running
from timing import times_ms
from torch.nn.attention import SDPBackend, sdpa_kernel

COMFYUI = "comfyui"
COMFYUIS_ORDER = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Of torch's backends, as ComfyUI 0.16 to 0.30 asks for them on NVIDIA."""

COMPARED_ROWS = 128
"""How many of the first queries, and of the last, are held to the oracle, in the first and the last head of each batch."""

HOST_CALLS = 200

METHOD = (
    "In each round every kernel is called once, in an order of its own, between device events, while the device sleeps until the host has asked for "
    "all. Random operands in bf16, scale 1/sqrt(width), laid out as ComfyUI hands them over: [B, S, H * D]."
)

Compute = Callable[[Call], torch.Tensor]


def comfyuis_own(call: Call) -> torch.Tensor:
    """What `attention_pytorch` does: torch's attention with all backends allowed, in ComfyUI's order."""
    q, k, v = (each.transpose(1, 2) for each in call[:3])
    with sdpa_kernel(COMFYUIS_ORDER, set_priority=True):
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=call.mask, scale=call.scale, enable_gqa=q.shape[1] != k.shape[1])
    return found.transpose(1, 2).contiguous()


def operands(each: Attention, device: torch.device) -> Call:
    """Random operands; a masked call sees about seven of ten keys."""
    generator = torch.Generator(device).manual_seed(0)

    def draw(length: int, heads: int) -> torch.Tensor:
        made = torch.randn(each.batch, length, heads * each.width, generator=generator, device=device, dtype=torch.bfloat16)
        return made.unflatten(2, (heads, each.width))

    q, k, v = draw(each.queries, each.heads), draw(each.keys, each.groups), draw(each.keys, each.groups)
    mask = None
    if each.mask:
        queries = 1 if each.mask == "keys" else each.queries
        mask = torch.rand(each.batch, 1, queries, each.keys, generator=generator, device=device) < 0.7
        mask[..., 0] = True
    return Call(q, k, v, each.width**-0.5, mask)


def error_of(call: Call, output: torch.Tensor) -> float:
    """The relative error of some heads and rows."""
    rows = sorted({*range(min(COMPARED_ROWS, call.q.shape[1])), *range(max(0, call.q.shape[1] - COMPARED_ROWS), call.q.shape[1])})
    heads, groups = call.q.shape[2], call.k.shape[2]
    kept = sorted({0, heads - 1})
    shared = [head * groups // heads for head in kept]
    mask = call.mask if call.mask is None or call.mask.shape[2] == 1 else call.mask[:, :, rows]
    part = Call(call.q[:, rows][:, :, kept], call.k[:, :, shared], call.v[:, :, shared], call.scale, mask)
    return relative_error(output[:, rows][:, :, kept], reference.attention(part))


def host_us(kernel: AttentionKernel, device: torch.device) -> float | None:
    """Microseconds of the host for one small call through the hook, whatever the device does meanwhile; None where the kernel does not take it."""
    override = Override(kernel, device)
    q = torch.zeros(1, 64, 2 * 128, device=device, dtype=torch.bfloat16)
    small = q.unflatten(2, (2, 128))
    if not kernel.can_run(Call(small, small, small, 128**-0.5, None))[0]:
        return None
    override(_unasked, q, q, q, 2)
    begun = time.perf_counter()
    for _ in range(HOST_CALLS):
        override(_unasked, q, q, q, 2)
    return round((time.perf_counter() - begun) / HOST_CALLS * 1e6, 1)


def _unasked(*_, **__) -> torch.Tensor:
    raise RuntimeError("the hook handed the call back to ComfyUI")


def measure(each: Attention, kernels: dict[str, AttentionKernel], plan: attention_plan.Plan, result: dict, device: torch.device) -> None:
    """Add the figures of one attention to the result, a row a kernel."""
    call, ways = operands(each, device), {COMFYUI: comfyuis_own}
    for label, kernel in kernels.items():
        able, why = kernel.can_run(call)
        if able:
            ways[label] = kernel.attend
        else:
            result["refused"].setdefault(label, {})[each.name] = why
    checked = {label: found for label, way in ways.items() if (found := _checked(label, each, way, call, result))}
    samples = times_ms({label: lambda turn, way=ways[label]: way(call) for label in checked}, device, plan.target_ms)
    medians = {label: statistics.median(times) for label, times in samples.items()}
    for label, times in samples.items():
        tolerance = kernels[label].tolerance(torch.bfloat16) if label in kernels else None
        result["rows"].append({
            **each._asdict(), "kernel": label, "samples_ms": [round(sample, 4) for sample in times], "median_ms": round(medians[label], 4),
            "tflops": round(each.operations / medians[label] / 1e9, 2),
            "times_comfyui": round(medians[COMFYUI] / medians[label], 4) if COMFYUI in medians else None,
            **checked[label], "tolerance": tolerance,
        })  # fmt: skip


def _checked(label: str, each: Attention, way: Compute, call: Call, result: dict) -> dict | None:
    """Error and sameness of a kernel that works; one of another package raises anything, and the others are still to be measured."""
    try:
        poison(call.q.shape, call.q.dtype, call.q.device)
        output = way(call)
        return {"error": error_of(call, output), "same_bits": torch.equal(way(call), output)}
    except Exception as problem:
        result["failed"][f"{label}, {each.name}"] = first_line(problem)
        return None


def run(plan: attention_plan.Plan, options: argparse.Namespace) -> dict:
    """Measure, write after every attention and at an error, and return the result."""
    begun = time.perf_counter()
    kernels, missing = running(options.device, options.require, KERNELS, check_all)
    result: dict = {
        "what": "attention of one block, as ComfyUI's hook asks for it", "method": METHOD, "environment": host.environment(options.commit),
        "variants": {label: kernel.variant for label, kernel in kernels.items()},
        "exact": {label: kernel.is_exact for label, kernel in kernels.items()}, "host_us": {},
        "missing": missing, "refused": {}, "failed": {}, "left_out": [], "rows": [],
    }  # fmt: skip
    try:
        for label, kernel in kernels.items():
            try:
                result["host_us"][label] = host_us(kernel, options.device)
            except Exception as problem:  # as in _checked
                result["failed"][f"{label}, the host's time"] = first_line(problem)
        for each in plan.attentions:
            if time.perf_counter() - begun > options.seconds:
                result["left_out"].append(each.name)
                continue
            measure(each, kernels, plan, result, options.device)
            print(f"{time.perf_counter() - begun:4.0f} s: {each.name}", flush=True)
            host.write(options.out, result)
    finally:
        host.write(options.out, result)
    return result


def show(result: dict) -> None:
    """Every attention's kernels, fastest first, and what went wrong."""
    for name in dict.fromkeys(row["name"] for row in result["rows"]):
        for row in sorted((row for row in result["rows"] if row["name"] == name), key=lambda row: row["median_ms"]):
            same = "" if row["same_bits"] else "  NOT THE SAME BITS TWICE"
            print(f"{name:20} {row['kernel']:24} {row['median_ms']:9.3f} ms {row['tflops']:7.1f} TFLOP/s  error {row['error']:.2g}{same}")
    for name in ("host_us", "missing", "refused", "failed", "left_out"):
        print(name, result[name])


if __name__ == "__main__":
    given = parser(__doc__, "begin no attention after so many; what is left out is listed", "tiny sizes, to see that the script runs").parse_args()
    with torch.inference_mode():
        show(run(attention_plan.SMALL if given.small else attention_plan.FULL, given))
