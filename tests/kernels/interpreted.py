"""What test_triton.py runs in a child process under Triton's interpreter: every function check_* here, each of which raises where it fails.

It prints {name: None or the traceback} as JSON. Of a GPU's arithmetic the interpreter lacks the rounding to bf16 and to fp8 below 2**-6, which it
truncates, and the carry into the next power of two when it rounds to fp8; those codes are left out. fp8 products are taken in fp16 and added in
fp32, so a GPU's shorter accumulators are not seen here. Descriptors work; what tl.range makes of its options is ignored.
"""

import contextlib
import json
import sys
import traceback
from itertools import product

import torch
from lightquant.formats import FORMATS, INT4_G128, INT4_MARLIN, INT8_CHANNEL
from lightquant.formats.base import SMALLEST_AMAX
from lightquant.kernels import reference, triton_fp8, triton_int4, triton_int8, triton_product
from lightquant.kernels.fused_rows import Norm, add_gated, add_norm, gelu, norm, rms_rope
from lightquant.kernels.jit import fused, groups, int4, products
from lightquant.kernels.jit import rows as triton_rows
from lightquant.kernels.jit.tiles import Tile
from lightquant.kernels.quantize import empty
from lightquant.kernels.quantize_groups import quantize_groups
from lightquant.kernels.quantize_rows import LIMITS, quantize_rows
from lightquant.kernels.rows import GROUP, Coding, Rows, floats
from triton.runtime import interpreter

FP8 = torch.float8_e4m3fn
SMALLEST_NORMAL = 2**-6
FORMAT_OF = {torch.int8: FORMATS["int8-channel"], FP8: FORMATS["fp8-channel"]}
TOLERANCE = {torch.float32: 1e-5, torch.float16: 0.004, torch.bfloat16: 0.008}
SHAPES = ((33, 40, 96), (17, 9, 53), (130, 70, 256), (1, 64, 144))
TILES = (
    Tile(32, 32, 32, 2, 4, group=2), Tile(32, 32, 32, 2, 4, parts=2), Tile(32, 64, 32, 2, 4, parts=2, descriptors=True),
    Tile(32, 32, 32, 2, 4, descriptors=True), Tile(32, 32, 32, 2, 4, descriptors=True, flatten=True),
)  # fmt: skip
HOPPER, PROCESSORS = (9, 0), 3


def weight(outputs: int, inputs: int) -> torch.Tensor:
    """Rows over two decades, heavy tails, a few outlier columns."""
    body = torch.randn(outputs, inputs)
    body = body * (1 + 0.3 * torch.randn(outputs, inputs).abs() ** 3) * torch.logspace(-2, 0, outputs)[torch.randperm(outputs), None]
    body[:, ::64] *= 8
    return body


def activations(rows: int, inputs: int) -> torch.Tensor:
    x = torch.randn(rows, inputs) * torch.logspace(-2, 1, rows)[torch.randperm(rows), None]
    x[:, ::64] *= 20
    return x


def close(y: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> None:
    assert y.dtype == dtype
    error = reference.relative_error(y, expected)
    assert error <= TOLERANCE[dtype], (error, dtype)


def truncated(x: torch.Tensor) -> torch.Tensor:
    return (x.view(torch.int32) & -65536).view(torch.float32).bfloat16()


def check_products_meet_the_oracle() -> None:
    for code, (rows, outputs, inputs), tile, has_bias, dtype in product(LIMITS, SHAPES, TILES, (False, True), TOLERANCE):
        values, scale = quantize_rows(activations(rows, inputs), code)
        stored, bias = FORMAT_OF[code].quantize(weight(outputs, inputs)), torch.randn(outputs).to(dtype) if has_bias else None
        if tile.descriptors and not products.describable(values, stored.data):
            continue
        wide = torch.full((rows, outputs + 16), float("nan"), dtype=dtype)
        products.multiply(values, scale, stored.data, stored.scale, bias, wide[:, :outputs], tile, PROCESSORS)
        expected = (values.double() * scale) @ (stored.data.double() * stored.scale).t() + (0 if bias is None else bias.double())
        close(wide[:, :outputs], expected, dtype)
        assert wide[:, outputs:].isnan().all(), "it wrote beyond its columns"


def check_rows_of_zeros_and_huge_rows() -> None:
    for code in LIMITS:
        x, stored = activations(40, 64), FORMAT_OF[code].quantize(weight(48, 64) * 1e-4)
        x[3], x[4] = 0, torch.linspace(-1, 1, 64) * 3e38
        values, scale = quantize_rows(x, code)
        for tile in TILES:
            out = torch.empty(40, 48)
            products.multiply(values, scale, stored.data, stored.scale, None, out, tile, PROCESSORS)
            assert not out[3].any()
            expected = (values.double() * scale) @ (stored.data.double() * stored.scale).t()
            assert torch.isfinite(out).all()
            torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-4 * float(expected[5].abs().max()))


def check_a_row_with_nan_stays_visible() -> None:
    for code in LIMITS:
        x, stored = activations(8, 64), FORMAT_OF[code].quantize(weight(48, 64))
        x[3, 5] = float("nan")
        values, scale = quantize_rows(x, code)
        out = torch.empty(8, 48)
        products.multiply(values, scale, stored.data, stored.scale, None, out, TILES[2], PROCESSORS)
        assert out.isnan().any(1).nonzero().flatten().tolist() == [3]


def check_kernels_meet_the_oracle() -> None:
    kernels = [*triton_fp8.VARIANTS, *triton_int8.VARIANTS, *triton_int4.VARIANTS]
    for kernel in kernels:
        for rows, inputs, outputs in ((1, 256, 64), (70, 128, 128), (520, 384, 64)):
            draw = weight(outputs, inputs)
            formats = (INT4_G128, INT4_MARLIN) if kernel.format == "int4-g128" else (FORMATS[kernel.format],)
            for stored in [format_.quantize(draw) for format_ in formats]:
                for dtype in (torch.float32, torch.float16):
                    x, bias = activations(rows, inputs).to(dtype), torch.randn(outputs).to(dtype)
                    assert kernel.takes(rows, stored, dtype)[0]
                    close(kernel.linear(x, stored, bias), reference.linear(kernel, x, stored, bias), dtype)


def check_int4_pieces_give_what_one_gives() -> None:
    x, kernels = activations(9, 256), triton_int4.VARIANTS
    for kernel in kernels:
        for format_ in (INT4_G128, INT4_MARLIN):
            stored = format_.quantize(weight(320, 256))
            whole = kernel.linear(x, stored, torch.ones(320))
            bytes_, triton_int4.PIECE_BYTES = triton_int4.PIECE_BYTES, 128 * 256
            torch.testing.assert_close(kernel.linear(x, stored, torch.ones(320)), whole, rtol=1e-6, atol=1e-6)
            triton_int4.PIECE_BYTES = bytes_


def check_int4_is_expanded_bit_for_bit() -> None:
    draw = weight(192, 1280)
    draw[7] = 0
    for format_ in (INT4_G128, INT4_MARLIN):
        stored = format_.quantize(draw)
        for first, count in ((0, 192), (64, 64), (64, 128)):
            for dtype in TOLERANCE:
                piece = torch.empty(count, 1280, dtype=dtype)
                int4.expand(stored.data, stored.scale, first, piece)
                expected = format_.dequantize(stored, torch.float32, slice(first, first + count))
                assert torch.equal(piece, truncated(expected) if dtype is torch.bfloat16 else expected.to(dtype)), (format_.packing, dtype)


def check_int4_is_requantized_bit_for_bit() -> None:
    draw = weight(192, 1280)
    draw[7] = 0
    for format_ in (INT4_G128, INT4_MARLIN):
        stored = format_.quantize(draw)
        expected = triton_int4.requantized(stored)
        scale, piece = torch.empty(192, 1), torch.empty(128, 1280, dtype=torch.int8)
        int4.scale_rows(stored.data, stored.scale, scale, SMALLEST_AMAX)
        int4.expand(stored.data, stored.scale, 64, piece, scale)
        assert torch.equal(scale, expected.scale), format_.packing
        assert torch.equal(piece, expected.data[64:]), format_.packing
        floats = format_.dequantize(stored, torch.float32)
        assert ((INT8_CHANNEL.dequantize(expected, torch.float32) - floats).abs() <= 0.5001 * expected.scale).all()


def check_int4_in_fp32_scales_is_expanded_too() -> None:
    stored = INT4_G128.quantize(weight(20, 256))
    stored = stored._replace(scale=stored.scale.float() * 1.0001)
    piece = torch.empty(20, 256)
    int4.expand(stored.data, stored.scale, 0, piece)
    assert torch.equal(piece, INT4_G128.dequantize(stored, torch.float32))


def comparable(expected: torch.Tensor) -> torch.Tensor:
    """Which codes the interpreter rounds as a GPU does."""
    if expected.dtype is not FP8:
        return torch.ones_like(expected, dtype=torch.bool)
    wanted = expected.float()
    return (torch.frexp(wanted).mantissa.abs() != 0.5) & (wanted.abs() >= SMALLEST_NORMAL)


def same_codes(codes: torch.Tensor, expected: torch.Tensor) -> None:
    right = comparable(expected)
    assert torch.equal(codes.float()[right], expected.float()[right])


def check_groups_are_quantized_as_by_eager_torch() -> None:
    for rows, inputs in ((37, 384), (70, 300), (5, 128), (3, 5)):
        x = activations(rows, inputs)
        x[1], x[2, 1] = 0, float("nan")
        expected, expected_scale = quantize_groups(x)
        values, scale = torch.empty_like(expected), torch.empty_strided(expected_scale.shape, expected_scale.stride())
        groups.quantize_groups(x, values, scale, 128, LIMITS[FP8], SMALLEST_AMAX)
        torch.testing.assert_close(scale, expected_scale, rtol=0, atol=0, equal_nan=True)
        good = ~expected_scale.isnan().repeat_interleave(128, 1)[:, :inputs]
        same_codes(values[good], expected[good])
        assert scale.isnan().sum() == 1


def check_rows_are_quantized_as_by_eager_torch() -> None:
    for code, limit in LIMITS.items():
        for width in (5120, 13824, 33000, 200, 1):
            x = activations(3, width)
            values, scale = torch.empty_like(x, dtype=code), torch.empty(3, 1)
            triton_rows.quantize_rows(x, values, scale, limit, SMALLEST_AMAX)
            expected, expected_scale = quantize_rows(x, code)
            assert torch.equal(scale, expected_scale)
            same_codes(values, expected)


CODINGS = (None, Coding(torch.int8), Coding(FP8), Coding(FP8, GROUP))


def rows_of(x: torch.Tensor, coding: Coding | None, fill) -> Rows:
    """What a kernel fills for x."""
    made = empty(x, coding)
    fill(made.values, made.scale, LIMITS[coding.dtype] if coding else 0.0)
    return made


def same_rows(made: Rows, expected: Rows, coding: Coding | None) -> None:
    assert made.values.dtype == expected.values.dtype
    if coding is not None:
        assert made.scale.stride() == expected.scale.stride()
        torch.testing.assert_close(made.scale, expected.scale, rtol=1e-4, atol=0)
    right = comparable(expected.values)
    error = reference.relative_error(floats(made)[right], floats(expected)[right])
    # Codes of numbers that differ in their last bits differ by a step where they lie between two.
    assert error <= (1e-5 if coding is None else 0.003), (error, coding)


def norms(columns: int, samples: int, rows: int):
    """Layer norms as a block has them: plain, affine, and modulated with one set for all rows, each two, each three, and with one set too many."""
    yield Norm(None, None, 1e-6)
    yield Norm(torch.randn(columns), torch.randn(columns), 1e-6)
    for rows_a_set, sets in ((rows, 1), (2, -(-rows // 2)), (3, -(-rows // 3)), (2, -(-rows // 2) + 1)):
        drawn = (torch.randn(samples * sets, columns) for _ in range(2))
        yield Norm(*drawn, 1e-6, True, rows_a_set, rows, sets)


def check_norms_in_one_pass() -> None:
    for columns, coding in product((256, 1536, 200), CODINGS):
        samples, rows = 2, 4
        x = activations(samples * rows, columns) + 3
        for after in norms(columns, samples, rows):
            made = rows_of(x, coding, lambda *into, after=after, x=x: fused.norm_rows(x, None, None, None, after, *into))
            same_rows(made, norm(x, after, coding), coding)


def check_a_residual_and_the_norm_of_the_sum() -> None:
    for columns, coding in product((384, 130), CODINGS):
        samples, rows = 2, 4
        x, y = activations(samples * rows, columns), activations(samples * rows, columns)
        for after in norms(columns, samples, rows):
            gates = (None, torch.randn(samples * after.sets, columns)) if after.rows_a_batch > 1 else (None,)
            for gate in gates:
                total = torch.empty_like(x)
                made = rows_of(x, coding, lambda *into, given=(x, y, gate, total, after): fused.norm_rows(*given, *into))
                expected_total, expected = add_norm(x, y, gate, after, coding)
                torch.testing.assert_close(total, expected_total, rtol=1e-6, atol=1e-6)
                same_rows(made, expected, coding)


def check_a_gated_sum() -> None:
    for columns, samples, sets in ((384, 1, 1), (130, 2, 2), (1536, 2, 3)):
        x, y, gate = (activations(count, columns) for count in (samples * 4, samples * 4, samples * sets))
        out, places = torch.empty_like(x), (-(-4 // sets), 4, sets)
        fused.add_gated(x, y, gate, out, *places)
        torch.testing.assert_close(out, add_gated(x, y, gate, *places), rtol=1e-6, atol=1e-6)


def check_gelu_in_one_pass() -> None:
    for columns, coding in product((256, 2176, 72), CODINGS[1:]):
        x = activations(5, columns)
        made = rows_of(x, coding, lambda *into, x=x: fused.gelu_rows(x, *into))
        same_rows(made, gelu(x, coding), coding)


def check_rms_norm_with_rotary_embedding() -> None:
    for heads, size, samples in ((2, 128, 1), (12, 128, 2), (3, 32, 2)):
        rows = 5
        x, scale = activations(samples * rows, heads * size), torch.randn(heads * size)
        angle = torch.randn(samples, rows, 1, size // 2)
        freqs = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).unflatten(-1, (2, 2))
        for turn in (freqs, freqs[:1]):
            out = torch.empty_like(x)
            fused.rms_rope(x, scale, turn, out, rows, 1e-6)
            torch.testing.assert_close(out, rms_rope(x, scale, turn, 1e-6, rows), rtol=1e-5, atol=1e-5)


def without_a_gpu() -> None:
    """Stand-ins for the little that the launching code asks of a GPU, and for what numpy 2.4 no longer lets Triton 3.6's interpreter do."""
    torch.cuda.device = contextlib.nullcontext
    triton_product._gpu = lambda device: (HOPPER, PROCESSORS)
    patch = interpreter._patch_lang_tensor

    def patched(tensor, scope) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched


def outcome(check) -> str | None:
    torch.manual_seed(0)
    try:
        check()
    except Exception:  # whatever it is, the parent shows it
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    without_a_gpu()
    json.dump({name: outcome(check) for name, check in list(globals().items()) if name.startswith("check_")}, sys.stdout)
