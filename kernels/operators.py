"""How the kernels' torch operators are registered: once, with the fake that torch.compile traces through."""

from collections.abc import Callable

import torch

MATMUL_ARGUMENTS = "(Tensor rows, Tensor row_scale, Tensor data, Tensor scale, Tensor? bias, ScalarType out_dtype) -> Tensor"
"""The arguments of every product of quantized rows [M, K] with a weight of one scale a channel."""

_LIBRARY = torch.library.Library("lightquant", "FRAGMENT")


def operator(schema: str, fake: Callable) -> Callable[[Callable], Callable]:
    """Register the decorated function as lightquant::<schema> for every device and return the operator in its place.

    fake: takes the same arguments and returns empty tensors of the right shape and dtype.
    """

    def register(function: Callable) -> Callable:
        name = schema.split("(", 1)[0]
        _LIBRARY.define(schema)
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        # register_fake would look its caller's source up, which takes a third of what the whole pack takes to start.
        _LIBRARY.impl(name, fake, "Meta")
        return getattr(torch.ops.lightquant, name).default

    return register


def fake_matmul(rows, row_scale, data, scale, bias, out_dtype):
    """What an operator of MATMUL_ARGUMENTS returns, unfilled: [M, N] in out_dtype."""
    return rows.new_empty((rows.shape[0], data.shape[0]), dtype=out_dtype)
