"""Every variant of every kernel against the oracle, on the CPU and, where marked, on a GPU."""

import pytest
import torch
from lightquant.formats import FORMATS, packing_of, repacked
from lightquant.kernels import reference
from lightquant.kernels.expand import Expanded
from lightquant.kernels.registry import VARIANTS, select
from lightquant.kernels.torch_int8 import IntMM
from small_models import Weights

KERNELS = [kernel for variants in VARIANTS.values() for kernel in variants]
ON_CPU = [kernel for kernel in KERNELS if isinstance(kernel, Expanded | IntMM)]
"""The others are tested by their doubles (test_adapters.py), by Triton's interpreter (test_triton.py), and below on a GPU."""

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def name(kernel) -> str:
    return f"{kernel.name}, {kernel.variant}"


def operands(kernel, rows: int, inputs: int, outputs: int, dtype: torch.dtype, device="cpu"):
    inputs = -(-inputs // 128) * 128 if kernel.format == "int4-g128" else inputs  # it has whole groups only
    draw = Weights(rows)
    x = draw.normal(rows, inputs)
    x[:, ::64] *= 20
    stored = repacked(kernel.format, FORMATS[kernel.format].quantize(draw.matrix(outputs, inputs)), kernel.packings)
    return x.to(device, dtype), type(stored)(*(part.to(device) for part in stored)), draw.normal(outputs).to(device, dtype)


def check(kernel, x, weight, bias) -> None:
    y = kernel.linear(x, weight, bias)
    assert (y.dtype, y.shape) == (x.dtype, (*x.shape[:-1], packing_of(kernel.format, weight).shape(weight)[0]))
    error = reference.relative_error(y, reference.linear(kernel, x, weight, bias))
    assert error <= kernel.tolerance(x.dtype), error


@pytest.mark.parametrize("kernel", ON_CPU, ids=name)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rows", [1, 17, 130])
@pytest.mark.parametrize("sizes", [(256, 96), (200, 52), (17, 9)], ids=str)
@pytest.mark.parametrize("has_bias", [True, False])
def test_every_shape_meets_the_oracle(kernel, dtype, rows, sizes, has_bias):
    x, weight, bias = operands(kernel, rows, *sizes, dtype)
    check(kernel, x, weight, bias if has_bias else None)


@pytest.mark.parametrize("kernel", ON_CPU, ids=name)
def test_leading_dimensions_and_strides_are_kept(kernel):
    x, weight, bias = operands(kernel, 24, 128, 48, torch.float32)
    flat = kernel.linear(x, weight, bias)
    assert torch.equal(kernel.linear(x.reshape(2, 3, 4, 128), weight, bias), flat.reshape(2, 3, 4, 48))
    assert torch.equal(kernel.linear(x.t().contiguous().t(), weight, bias), flat)


@pytest.mark.parametrize("kernel", ON_CPU, ids=name)
def test_pieces_give_what_one_product_gives(kernel, monkeypatch):
    x, weight, bias = operands(kernel, 200, 128, 96, torch.float32)
    whole = kernel.linear(x, weight, bias)
    monkeypatch.setattr("lightquant.kernels.expand.PIECE_ELEMENTS", 128 * 10)
    monkeypatch.setattr("lightquant.kernels.expand.ROWS_IN_MULTIPLE", 10)
    monkeypatch.setattr("lightquant.kernels.torch_int8.PIECE_BYTES", 4 * 96 * 48)
    monkeypatch.setattr("lightquant.kernels.torch_int8.PIECE_ROWS", 48)
    torch.testing.assert_close(kernel.linear(x, weight, bias), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", ON_CPU, ids=name)
def test_one_quantization_feeds_several_products(kernel):
    x, weight, bias = operands(kernel, 24, 128, 48, torch.float32)
    rows = kernel.quantize(x)
    for _ in range(2):
        assert torch.equal(kernel.matmul(rows, weight, bias, x.dtype), kernel.linear(x, weight, bias))


@pytest.mark.parametrize("kernel", ON_CPU, ids=name)
def test_compiles_without_a_graph_break(kernel):
    x, weight, bias = operands(kernel, 24, 128, 48, torch.float32)
    compiled = torch.compile(lambda x: kernel.linear(x, weight, bias), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), kernel.linear(x, weight, bias))


def test_operators_agree_with_their_fakes():
    x, weight, bias = operands(IntMM(), 24, 128, 48, torch.bfloat16)
    rows = IntMM().quantize(x)
    checks = ("test_schema", "test_faketensor")
    arguments = (rows.values, rows.scale, weight.data, weight.scale, bias, torch.bfloat16)
    torch.library.opcheck(torch.ops.lightquant.int8_mm_matmul.default, arguments, test_utils=checks)
    arguments = (x, weight.data, weight.scale, bias, "int8-channel")
    torch.library.opcheck(torch.ops.lightquant.expanded_linear.default, arguments, test_utils=checks)


def test_no_rows_give_no_rows():
    x, weight, bias = operands(IntMM(), 0, 128, 48, torch.float32)
    assert select("auto", "int8-channel", torch.device("cpu")).linear(x, weight, bias).shape == (0, 48)


def test_the_oracle_notices_reversed_ignored_and_short_scales():
    kernel = VARIANTS["fp8-torch"][-1]
    x, weight, bias = operands(kernel, 24, 128, 48, torch.float32)
    expected = reference.linear(kernel, x, weight, bias)
    for scale in (weight.scale.flip(0), torch.ones_like(weight.scale), weight.scale.bfloat16().float()):
        broken = kernel.linear(x, weight._replace(scale=scale.contiguous()), bias)
        assert reference.relative_error(broken, expected) > 10 * kernel.tolerance(x.dtype)
    assert reference.relative_error(kernel.linear(x, weight, None), expected) > 10 * kernel.tolerance(x.dtype)


def test_an_error_with_nan_is_infinite():
    assert reference.relative_error(torch.tensor([1.0, float("nan")]), torch.ones(2)) == float("inf")


@pytest.mark.gpu
@pytest.mark.parametrize("kernel", KERNELS, ids=name)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rows", [1, 17, 512, 4099])
@pytest.mark.parametrize("sizes", [(5120, 1280), (1536, 8960), (256, 48), (200, 52)], ids=str)
def test_on_the_gpu_every_shape_meets_the_oracle(kernel, dtype, rows, sizes):
    device = torch.device("cuda", 0)
    supported, reason = kernel.is_supported(device)
    if not supported or not kernel.can_run(rows, *sizes, dtype, device)[0]:
        pytest.skip(reason)
    check(kernel, *operands(kernel, rows, *sizes, dtype, device))


@pytest.mark.gpu
@pytest.mark.parametrize("kernel", KERNELS, ids=name)
def test_on_the_gpu_kernels_use_the_current_stream_and_compile(kernel):
    device = torch.device("cuda", 0)
    if not kernel.is_supported(device)[0]:
        pytest.skip(kernel.is_supported(device)[1])
    x, weight, bias = operands(kernel, 300, 512, 256, torch.bfloat16, device)
    expected = kernel.linear(x, weight, bias)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late = x.clone()
        y = kernel.linear(late, weight, bias)
        late.zero_()
    torch.cuda.synchronize()
    assert torch.equal(y, expected)
    assert torch.equal(torch.compile(lambda x: kernel.linear(x, weight, bias), fullgraph=True)(x), expected)
