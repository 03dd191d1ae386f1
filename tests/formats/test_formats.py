import pytest
import torch
from lightquant.formats import FORMATS, INT4_G128, INT4_MARLIN, PACKINGS, QuantizedWeight, format_of, packing_of, repacked
from lightquant.formats.int4_g128 import codes_of
from small_models import Weights


@pytest.fixture(params=PACKINGS, ids=lambda format_: f"{format_.name}-{format_.packing}")
def format_(request):
    return request.param


@pytest.fixture(params=["fp8-channel", "int8-channel"])
def channel_format(request):
    return FORMATS[request.param]


@pytest.fixture
def weight():
    """Ragged in blocks of 128."""
    return Weights(0).matrix(192, 256)


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
    assert stored.scale.shape == (192, 1)
    torch.testing.assert_close(stored.scale[:, 0] * format_.limit, weight.bfloat16().float().abs().amax(1))
    assert stored.data.float().abs().amax() == format_.limit


def test_a_zero_row_stays_zero(format_):
    stored = format_.quantize(torch.zeros(64, 128))
    assert torch.equal(format_.dequantize(stored, torch.float32), torch.zeros(64, 128))
    assert torch.isfinite(stored.scale).all()


def test_quantizing_what_was_dequantized_gives_the_same_codes(format_, weight):
    once = format_.quantize(weight)
    again = format_.quantize(format_.dequantize(once, torch.float32))
    assert torch.equal(once.data.float(), again.data.float())


def test_rounding_error_is_that_of_the_format(format_, weight):
    error = (format_.dequantize(format_.quantize(weight), torch.float32) - weight).norm() / weight.norm()
    assert error < {"fp8-channel": 0.028, "int8-channel": 0.025, "fp8-b128": 0.03, "int4-g128": 0.25}[format_.name]


def test_stochastic_rounding_is_right_on_average_and_repeatable(format_, weight):
    runs = [format_.dequantize(format_.quantize(weight, seed=seed), torch.float32) for seed in range(64)]
    nearest = format_.dequantize(format_.quantize(weight), torch.float32)
    assert (sum(runs) / len(runs) - weight).norm() < 0.5 * (nearest - weight).norm()
    assert torch.equal(runs[3], format_.dequantize(format_.quantize(weight, seed=3), torch.float32))
    assert not torch.equal(runs[3], runs[4])


@pytest.mark.parametrize("rows", [slice(10, 20), slice(120, 320), slice(256, 320), slice(0, 320)], ids=str)
def test_some_rows_are_those_of_the_whole(format_, rows):
    stored = format_.quantize(Weights(1).matrix(320, 256))
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


def test_int4_codes_hold_the_largest_of_a_group_exactly():
    format_, weight = FORMATS["int4-g128"], Weights(4).matrix(64, 256)
    stored = format_.quantize(weight)
    assert (stored.data.shape, stored.scale.shape, stored.scale.dtype) == ((64, 128), (64, 2), torch.float16)
    given, groups = format_.dequantize(stored, torch.float32).unflatten(1, (2, 128)), weight.unflatten(1, (2, 128))
    place = groups.abs().argmax(2, keepdim=True)
    torch.testing.assert_close(given.gather(2, place), groups.gather(2, place), rtol=1e-3, atol=1e-7)
    codes = codes_of(stored.data).unflatten(1, (2, 128))
    assert (codes.gather(2, place) == 0).all()
    assert set(codes.unique().tolist()) <= set(range(16))


def test_int4_codes_are_the_nearest_ones():
    format_, weight = FORMATS["int4-g128"], Weights(5).matrix(32, 256)
    data, scale = format_.quantize(weight)
    wanted = weight.unflatten(1, (2, 128)) / scale.float()[..., None] + 8
    distance = (wanted - codes_of(data).unflatten(1, (2, 128))).abs()
    assert torch.equal(distance, (wanted[..., None] - torch.arange(16.0)).abs().amin(-1))


def test_the_first_of_two_int4_codes_is_in_the_low_half():
    weight = torch.zeros(1, 128)
    weight[0, :3] = torch.tensor([-8.0, 3.0, 1.0])
    data, scale = FORMATS["int4-g128"].quantize(weight)
    assert scale.tolist() == [[1.0]]
    assert data[0, :2].tolist() == [0 | (8 + 3) << 4, (8 + 1) | 8 << 4]


def test_int4_needs_whole_groups():
    with pytest.raises(ValueError, match="groups of 128, this weight has 200"):
        FORMATS["int4-g128"].quantize(torch.ones(2, 200))


def marlins_place(output: int, inner: int) -> tuple[int, int, int]:
    """Row, column and lowest bit of a code in Marlin's packing, written out from its description: which thread of a warp holds what."""
    thread = output % 8 * 4 + inner % 8 // 2
    return inner // 16, output // 64 * 128 + thread * 4 + output % 64 // 16, 4 * (inner % 2 * 4 + output % 16 // 8 * 2 + inner % 16 // 8)


def test_marlins_packing_has_each_code_where_its_kernel_looks():
    plain = INT4_G128.quantize(Weights(6).matrix(128, 256))
    words, codes = INT4_MARLIN.from_plain(plain).data, codes_of(plain.data)
    for output in range(128):
        for inner in range(256):
            row, column, bit = marlins_place(output, inner)
            assert int(words[row, column]) >> bit & 15 == codes[output, inner]


def test_marlins_scales_are_in_its_order():
    plain = INT4_G128.quantize(Weights(6).matrix(128, 256))
    scale = INT4_MARLIN.from_plain(plain).scale
    assert (scale.shape, scale.dtype) == ((2, 128), torch.float16)
    for output in range(128):
        place = output // 64 * 64 + output % 8 * 8 + output % 64 // 8
        assert torch.equal(scale[:, place], plain.scale[output])


def test_packings_turn_into_each_other_exactly():
    plain = INT4_G128.quantize(Weights(7).matrix(192, 384))
    packed = repacked("int4-g128", plain, ("marlin",))
    assert packed.data.dtype is torch.int32
    for part, expected in zip(repacked("int4-g128", packed, ("plain",)), plain, strict=True):
        assert torch.equal(part, expected)
    assert repacked("int4-g128", packed, ("plain", "marlin")) is packed


def test_what_marlin_cannot_hold_exactly_stays_plain():
    odd = INT4_G128.quantize(Weights(7).matrix(100, 256))
    assert repacked("int4-g128", odd, ("marlin",)) is odd
    fine = INT4_G128.quantize(Weights(7).matrix(128, 256))
    fine = fine._replace(scale=fine.scale.float() * 1.0001)
    assert repacked("int4-g128", fine, ("marlin",)) is fine
    with pytest.raises(ValueError, match="multiples of 64"):
        INT4_MARLIN.quantize(torch.ones(100, 128))


def test_the_format_is_told_by_dtype_and_shape(format_):
    weight = Weights(3).matrix(320, 256)
    data, scale = format_.quantize(weight)
    assert format_.shape(QuantizedWeight(data, scale)) == (320, 256)
    assert packing_of(format_.name, QuantizedWeight(data, scale)) is format_
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
