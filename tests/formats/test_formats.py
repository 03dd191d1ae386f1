import pytest
import torch
from lightquant.formats import FORMATS, QuantizedWeight, format_of
from small_models import Weights


@pytest.fixture(params=list(FORMATS))
def format_(request):
    return FORMATS[request.param]


@pytest.fixture(params=["fp8-channel", "int8-channel"])
def channel_format(request):
    return FORMATS[request.param]


@pytest.fixture
def weight():
    """Ragged in blocks of 128."""
    return Weights(0).matrix(96, 256)


def all_codes(format_) -> torch.Tensor:
    codes = torch.arange(256, dtype=torch.int16).to(torch.uint8).view(format_.dtype).float()
    return codes[codes.isfinite() & (codes.abs() <= format_.limit)]


def test_codes_are_the_nearest_ones(channel_format, weight):
    format_, stored = channel_format, channel_format.quantize(weight)
    distance = (weight / stored.scale - stored.data.float()).abs()
    possible = (weight / stored.scale).unsqueeze(-1) - all_codes(format_)
    assert torch.equal(distance, possible.abs().amin(-1))


def test_ties_go_to_the_even_code(channel_format):
    format_ = channel_format
    ties = {"fp8-channel": ([1.0625, 1.1875], [1.0, 1.25]), "int8-channel": ([2.5, 3.5], [2.0, 4.0])}
    values, expected = ties[format_.name]
    stored = format_.quantize(torch.tensor([[*values, format_.limit]]))
    assert stored.data.float().tolist()[0] == [*expected, format_.limit]


def test_scale_is_fp32_and_maps_a_row_to_the_limit(channel_format, weight):
    format_ = channel_format
    stored = format_.quantize(weight.bfloat16())
    assert stored.scale.dtype is torch.float32
    assert stored.scale.shape == (96, 1)
    torch.testing.assert_close(stored.scale[:, 0] * format_.limit, weight.bfloat16().float().abs().amax(1))
    assert stored.data.float().abs().amax() == format_.limit


def test_a_zero_row_stays_zero(format_):
    stored = format_.quantize(torch.zeros(4, 32))
    assert torch.equal(format_.dequantize(stored, torch.float32), torch.zeros(4, 32))
    assert torch.isfinite(stored.scale).all()


def test_quantizing_what_was_dequantized_gives_the_same_codes(format_, weight):
    once = format_.quantize(weight)
    again = format_.quantize(format_.dequantize(once, torch.float32))
    assert torch.equal(once.data.float(), again.data.float())


def test_rounding_error_is_that_of_the_format(format_, weight):
    error = (format_.dequantize(format_.quantize(weight), torch.float32) - weight).norm() / weight.norm()
    assert error < {"fp8-channel": 0.028, "int8-channel": 0.02, "fp8-b128": 0.03}[format_.name]


def test_stochastic_rounding_is_right_on_average_and_repeatable(format_, weight):
    runs = [format_.dequantize(format_.quantize(weight, seed=seed), torch.float32) for seed in range(64)]
    nearest = format_.dequantize(format_.quantize(weight), torch.float32)
    assert (sum(runs) / len(runs) - weight).norm() < 0.5 * (nearest - weight).norm()
    assert torch.equal(runs[3], format_.dequantize(format_.quantize(weight, seed=3), torch.float32))
    assert not torch.equal(runs[3], runs[4])


@pytest.mark.parametrize("rows", [slice(10, 20), slice(120, 300), slice(256, 300), slice(0, 300)], ids=str)
def test_some_rows_are_those_of_the_whole(format_, rows):
    stored = format_.quantize(Weights(1).matrix(300, 200))
    assert torch.equal(format_.dequantize(stored, torch.float32, rows), format_.dequantize(stored, torch.float32)[rows])


def test_blocks_have_their_own_scale_to_the_ragged_edge():
    """Each block is quantized as if it were a tensor of its own."""
    format_, weight = FORMATS["fp8-b128"], Weights(2).matrix(300, 200)
    data, scale = format_.quantize(weight)
    assert scale.shape == (3, 2)
    assert scale.dtype is torch.float32
    for row, column in [(row, column) for row in range(3) for column in range(2)]:
        block = weight[128 * row : 128 * (row + 1), 128 * column : 128 * (column + 1)]
        assert scale[row, column] == block.abs().max() / torch.tensor(448.0)
        codes = data[128 * row : 128 * (row + 1), 128 * column : 128 * (column + 1)]
        assert torch.equal(codes.float(), (block / scale[row, column]).to(torch.float8_e4m3fn).float())


def test_the_format_is_told_by_dtype_and_shape(format_):
    weight = Weights(3).matrix(300, 200)
    data, scale = format_.quantize(weight)
    assert format_of(data.dtype, tuple(data.shape), tuple(scale.shape)) is format_
    assert format_of(data.dtype, tuple(data.shape), (7, 7)) is None
    assert format_of(weight.dtype, tuple(data.shape), tuple(scale.shape)) is None


def test_problems_are_named(format_, weight):
    data, scale = format_.quantize(weight)
    assert format_.problem(data, scale) is None
    assert "no scale" in format_.problem(data, None)
    assert str([*scale.shape, 1]) in format_.problem(data, scale[..., None])
    assert "NaN" in format_.problem(data, scale * float("nan"))
    assert "torch.float32" in format_.problem(weight, scale)
    assert format_.problem(data, scale.bfloat16()) is None  # LightX2V writes the scale in its source's dtype


def test_tables_are_keyed_by_name():
    assert {name: format_.name for name, format_ in FORMATS.items()} == {name: name for name in FORMATS}
    assert isinstance(FORMATS["fp8-channel"].quantize(torch.ones(2, 2)), QuantizedWeight)


@pytest.mark.gpu
def test_on_the_gpu_the_codes_and_scales_are_those_of_the_cpu(format_, weight):
    here, there = format_.quantize(weight), format_.quantize(weight.cuda())
    assert torch.equal(here.data.float(), there.data.cpu().float())
    assert torch.equal(here.scale, there.scale.cpu())
