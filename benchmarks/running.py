"""The kernels that run on this machine, by the label that results call them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import arguments
import torch
from lightquant.kernels import VARIANTS, Kernel, check_all
from lightquant.kernels.attention import AttentionKernel

AnyKernel = TypeVar("AnyKernel", Kernel, AttentionKernel)


def parser(description: str, seconds: str, small: str) -> argparse.ArgumentParser:
    """The options of the scripts that go through the kernels. seconds, small: what these two do in the one at hand."""
    made = arguments.parser(description, seconds)
    made.add_argument("--device", default="cuda:0", type=torch.device)
    made.add_argument("--require", default="", help="end at once unless these schemes run: NAME or NAME=WORD of its variant, with commas")
    made.add_argument("--small", action="store_true", help=small)
    return made


def running(
    device: torch.device, required: str = "", variants: Mapping[str, Sequence[AnyKernel]] = VARIANTS, check: Callable = check_all
) -> tuple[dict[str, AnyKernel], dict[str, str]]:
    """Label -> kernel, and name -> why none of its kernels runs. A name's best variant is called by it, the next is `NAME (2)`.

    required: names, with commas, each NAME or NAME=WORD where its best variant has to have a word; SystemExit where one is not so.
    variants: the kernels of every name, those of the linears' schemes or attention's. check: what checks all that are not the pack's own.
    """
    check(device)  # in one process for all, where each would ask for its own
    found: dict[str, AnyKernel] = {}
    missing = {}
    for scheme, kernels in variants.items():
        reasons, count = [], 0
        for kernel in kernels:
            supported, reason = kernel.is_supported(device)
            if supported:
                count += 1
                found[scheme if count == 1 else f"{scheme} ({count})"] = kernel
            else:
                reasons.append(reason)
        if not count:
            missing[scheme] = "; ".join(dict.fromkeys(reasons))
    _require(found, missing, required)
    return found, missing


def _require(found: dict[str, AnyKernel], missing: dict[str, str], required: str) -> None:
    problems = []
    for name, _, word in (wanted.partition("=") for wanted in required.split(",") if wanted):
        if name not in found:
            problems.append(f"{name} does not run: {missing.get(name, 'there is no such name')}")
        elif word not in found[name].variant:
            problems.append(f"{name} runs as {found[name].variant}, not as {word}")
    if problems:
        raise SystemExit("\n".join(problems))


def is_best(label: str) -> bool:
    """Whether a label is that of the variant which runs under the scheme's name."""
    return "(" not in label


def poison(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Leave NaN in the memory that torch gives out next for such a tensor, so that what a kernel does not write shows."""
    torch.full(shape, float("nan"), dtype=dtype, device=device)
