import pytest
import torch
from lightquant.kernels import quantize_groups as module
from lightquant.kernels.quantize_groups import quantize_groups

LIMIT = 448.0


def rows(count: int = 39, width: int = 384) -> torch.Tensor:
    x = torch.randn(count, width, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 2, count)[:, None]
    x[:, ::64] *= 20
    return x


def spread(scale: torch.Tensor, width: int) -> torch.Tensor:
    return scale.repeat_interleave(128, dim=1)[:, :width]


@pytest.mark.parametrize("width", [384, 300, 128, 5])
@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_each_group_is_mapped_to_the_limit_and_rounded_to_the_nearest(width, x_dtype):
    x = rows(width=width).to(x_dtype)
    values, scale = quantize_groups(x)
    assert (values.dtype, values.shape, scale.dtype, scale.shape) == (torch.float8_e4m3fn, x.shape, torch.float32, (39, -(-width // 128)))
    for group, part in enumerate(x.float().split(128, dim=1)):
        torch.testing.assert_close(scale[:, group], part.abs().amax(1) / LIMIT)
    step = spread(scale, width) * torch.clamp(values.float().abs(), min=2**-6) / 8
    assert ((values.float() * spread(scale, width) - x.float()).abs() <= 0.5001 * step).all()


@pytest.mark.parametrize("count", [1, 4, 39])
def test_the_scales_are_column_major_in_columns_of_whole_16_bytes(count):
    values, scale = quantize_groups(rows(count))
    assert values.is_contiguous()
    assert scale.stride() == (1, -(-count // 4) * 4)


def test_pieces_give_what_one_pass_gives(monkeypatch):
    whole = quantize_groups(rows())
    monkeypatch.setattr(module, "PIECE_ELEMENTS", 384 * 7)
    parts = quantize_groups(rows())
    assert torch.equal(whole[0].float(), parts[0].float())
    assert torch.equal(whole[1], parts[1])


def test_nan_stays_visible_in_its_group_and_zero_stays_zero():
    x = rows()
    x[3, 130], x[4] = float("nan"), 0
    values, scale = quantize_groups(x)
    assert torch.isnan(scale).nonzero().tolist() == [[3, 1]]
    assert not values[4].float().any()


def test_strided_rows_and_no_rows_are_taken():
    x = rows()
    assert torch.equal(quantize_groups(x.t().contiguous().t())[1], quantize_groups(x)[1])
    assert quantize_groups(x[:0])[1].shape == (0, 3)


def test_the_operator_and_its_fake_agree():
    torch.library.opcheck(torch.ops.lightquant.quantize_groups.default, (rows(),), test_utils=("test_schema", "test_faketensor"))


@pytest.mark.gpu
@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [5120, 13824, 200])
def test_on_the_gpu_the_fused_quantizer_gives_the_eager_codes(x_dtype, width):
    x = rows(301, width).to(x_dtype)
    expected, (values, scale) = quantize_groups(x), quantize_groups(x.cuda())
    assert module.triton_quantizer(torch.device("cuda", 0)) is not None
    assert torch.equal(values.cpu().float(), expected[0].float())
    assert torch.equal(scale.cpu(), expected[1])
    assert scale.stride() == expected[1].stride()
