"""Rows in one pass are those of the steps one after the other, as torch and ComfyUI have them."""

import pytest
import torch
import torch.nn.functional as F
from lightquant.kernels.fused_rows import Norm, add_gated, add_norm, gelu, norm, rms_rope
from lightquant.kernels.quantize import quantize
from lightquant.kernels.reference import relative_error
from lightquant.kernels.rows import GROUP, Coding, floats

FP8 = torch.float8_e4m3fn
CODINGS = [None, Coding(torch.int8), Coding(FP8), Coding(FP8, GROUP)]
EPS = 1e-6
TOLERANCE = {torch.float32: 1e-5, torch.float16: 0.002, torch.bfloat16: 0.005}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def rows(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> torch.Tensor:
    """Over two decades, with outlier columns."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    x = x * torch.logspace(-1, 1, shape[0])[:, None] + 1
    x[:, ::50] *= 10
    return x.to(device, dtype)


def repeated(sets: torch.Tensor, samples: int, count: int) -> torch.Tensor:
    """A set for each row, as Wan's blocks repeat them: evenly, or one row more for each where they don't divide the rows."""
    sets = sets.reshape(samples, -1, sets.shape[-1])
    times = count // sets.shape[1] + (count % sets.shape[1] != 0)
    return sets.repeat_interleave(times, dim=1)[:, :count].flatten(0, 1)


def close(found: torch.Tensor, expected: torch.Tensor, coding: Coding | None, dtype: torch.dtype) -> None:
    """expected: floats, which a coding rounds; that of codes rounded from nearly the same floats differs little more than they."""
    allowed = TOLERANCE[dtype] if coding is None else 0.004
    coded = expected if coding is None else floats(quantize(expected, coding))
    assert relative_error(found, coded) <= allowed


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("samples", "count", "sets"), [(1, 7, 1), (2, 12, 3), (2, 7, 3), (2, 9, 4)])
def test_modulated_norm_and_residual(device, coding, dtype, samples, count, sets):
    columns = 640
    x, y = (rows(samples * count, columns, dtype=dtype, device=device) for _ in range(2))
    gate, weight, bias = (rows(samples * sets, columns, dtype=dtype, device=device) / 10 for _ in range(3))
    after = Norm(weight, bias, EPS, True, -(-count // sets), count, sets)
    total, made = add_norm(x, y, gate, after, coding)
    expected = (x.float() + y.float() * repeated(gate.float(), samples, count)).to(dtype)
    close(total, expected, None, dtype)
    normed = F.layer_norm(total.float(), (columns,), eps=EPS)
    normed = normed * (1 + repeated(weight.float(), samples, count)) + repeated(bias.float(), samples, count)
    close(floats(made), normed, coding, dtype)
    assert torch.equal(floats(norm(total, after, coding)), floats(made))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("samples", "count", "sets"), [(1, 7, 1), (2, 12, 3), (2, 7, 3), (2, 9, 4)])
def test_a_gated_sum(device, dtype, samples, count, sets):
    x, y = (rows(samples * count, 640, dtype=dtype, device=device) for _ in range(2))
    gate = rows(samples * sets, 640, dtype=dtype, device=device) / 10
    expected = x.float() + y.float() * repeated(gate.float(), samples, count)
    close(add_gated(x, y, gate, -(-count // sets), count, sets), expected, None, dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("has_weight", [True, False])
def test_affine_and_plain_norms(device, coding, has_weight):
    x = rows(9, 384, device=device)
    weight, bias = (rows(1, 384, device=device)[0] for _ in range(2))
    after = Norm(weight, bias, EPS) if has_weight else Norm(None, None, EPS)
    expected = F.layer_norm(x, (384,), after.weight, after.bias, EPS)
    close(floats(norm(x, after, coding)), expected, coding, torch.float32)
    total, made = add_norm(x, 2 * x, None, after, coding)
    assert torch.equal(total, 3 * x)
    close(floats(made), F.layer_norm(3 * x, (384,), after.weight, after.bias, EPS), coding, torch.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("coding", CODINGS[1:])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gelu(device, coding, dtype):
    x = rows(11, 896, dtype=dtype, device=device)
    close(floats(gelu(x, coding)), F.gelu(x.float(), approximate="tanh"), coding, dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("batch", [1, 2])
def test_rotary_embedding_after_rms_norm_is_comfyuis(device, dtype, batch):
    from comfy.ldm.flux.math import _apply_rope1, rope

    samples, count, heads, size = 2, 6, 4, 128
    x, weight = rows(samples * count, heads * size, dtype=dtype, device=device), rows(1, heads * size, dtype=dtype, device=device)[0]
    freqs = rope(torch.rand(batch, count, device=device) * 50, size, 10000)[:, :, None]
    normed = F.rms_norm(x.float(), (heads * size,), weight.float(), EPS).view(samples, count, heads, size)
    close(rms_rope(x, weight, freqs, EPS, count), _apply_rope1(normed, freqs).reshape(x.shape), None, dtype)


def test_many_rows_are_done_in_pieces(monkeypatch):
    from lightquant.kernels import fused_rows

    x = rows(40, 256)
    after = Norm(rows(6, 256), rows(6, 256), EPS, True, 7, 20, 3)
    whole = [add_norm(x, x, after.weight, after, coding) for coding in CODINGS], gelu(x, CODINGS[1])
    monkeypatch.setattr(fused_rows, "PIECE_ELEMENTS", 3 * 256)
    apart = [add_norm(x, x, after.weight, after, coding) for coding in CODINGS], gelu(x, CODINGS[1])
    for (total, made), (expected_total, expected) in zip(whole[0], apart[0], strict=True):
        assert torch.equal(total, expected_total)
        assert torch.equal(floats(made), floats(expected))
    assert torch.equal(floats(whole[1]), floats(apart[1]))


def test_nan_stays_visible():
    x = rows(4, 256)
    x[2, 5] = float("nan")
    for coding in CODINGS[1:]:
        for made in (norm(x, Norm(None, None, EPS), coding), gelu(x, coding)):
            assert bool(made.scale[2].isnan().any())
            assert not bool(made.scale[[0, 1, 3]].isnan().any())


def test_the_operators_are_whole_ones():
    x, sets, freqs = rows(4, 256), rows(1, 256), torch.randn(1, 4, 1, 64, 2, 2)
    operators = torch.ops.lightquant
    for dtype, group in ((torch.float32, -1), (torch.int8, 0), (FP8, 128)):
        torch.library.opcheck(operators.norm_rows.default, (x, sets, sets, EPS, True, 4, 4, 1, dtype, group))
        torch.library.opcheck(operators.add_norm_rows.default, (x, x, sets, sets, sets, EPS, True, 4, 4, 1, dtype, group))
        if group >= 0:  # as floats it is torch's own
            torch.library.opcheck(operators.gelu_rows.default, (x, dtype, group))
    torch.library.opcheck(operators.add_gated.default, (x, x, sets, 4, 4, 1))
    torch.library.opcheck(operators.rms_rope.default, (x, sets[0], freqs, EPS, 4))
