"""The codes and scales are those of LightX2V's converter in fp32, whose formulas (tools/convert/quant/quant.py) are written out here.

Rows whose largest magnitude is below 1e-5 differ by design: LightX2V gives them the scale of 1e-5, we give them their own.
"""

import pytest
import torch
from lightquant.formats import FP8_CHANNEL, INT8_CHANNEL
from small_models import Weights

SMALLEST_NORMAL = 2.0**-6


def lightx2v_scale(weight: torch.Tensor, limit: float) -> torch.Tensor:
    return weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-5) / limit


def lightx2v_int8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = lightx2v_scale(weight, 127)
    return torch.clamp(torch.round(weight / scale), -128, 127).to(torch.int8), scale


def lightx2v_fp8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = lightx2v_scale(weight, 448.0)
    return rounded_by_qpytorch(torch.clip(weight / scale, -448.0, 448.0)).to(torch.float8_e4m3fn), scale


def rounded_by_qpytorch(values: torch.Tensor) -> torch.Tensor:
    """Its float_quantize(values, 4, 3, "nearest"): half a unit is added to the bits and the rest cut off, which rounds ties away from zero."""
    shift = torch.where(values.abs() < SMALLEST_NORMAL, torch.copysign(torch.tensor(SMALLEST_NORMAL), values), 0.0)
    bits = (values + shift).view(torch.int32) + (1 << 19)
    return (bits >> 20 << 20).view(torch.float32) - shift


@pytest.fixture(scope="module")
def weight():
    """No row is below 1e-5."""
    return Weights(11).matrix(1024, 5120)


def test_int8_codes_and_scales_are_lightx2vs(weight):
    stored, (codes, scale) = INT8_CHANNEL.quantize(weight), lightx2v_int8(weight)
    assert torch.equal(stored.scale, scale)
    assert torch.equal(stored.data, codes)


def test_fp8_codes_and_scales_are_lightx2vs_but_for_ties(weight):
    """We round ties to the even code, as torch and every GPU do."""
    stored, (codes, scale) = FP8_CHANNEL.quantize(weight), lightx2v_fp8(weight)
    assert torch.equal(stored.scale, scale)
    ours, theirs = stored.data.float(), codes.float()
    differs = ours != theirs
    assert differs.sum() <= 1e-5 * weight.numel()
    assert torch.equal(((ours + theirs) / 2)[differs], (weight / scale)[differs])
    assert (theirs.abs() > ours.abs())[differs].all()


def test_ties_are_where_the_two_differ():
    row = torch.tensor([[448.0, 1.0625, -1.0625, 1.1875, 2.0**-10, -3 * 2.0**-10]])
    assert lightx2v_fp8(row)[0].float().tolist() == [[448.0, 1.125, -1.125, 1.25, 2.0**-9, -(2.0**-8)]]
    assert FP8_CHANNEL.quantize(row).data.float().tolist() == [[448.0, 1.0, -1.0, 1.25, 0.0, -(2.0**-8)]]


@pytest.mark.parametrize(("format_", "theirs"), [(INT8_CHANNEL, lightx2v_int8), (FP8_CHANNEL, lightx2v_fp8)], ids=["int8-channel", "fp8-channel"])
def test_a_row_below_lightx2vs_floor_keeps_its_precision(format_, theirs, weight):
    tiny = weight[:64] * (1e-9 / weight[:64].abs().amax(dim=1, keepdim=True))
    codes, scale = theirs(tiny)
    ours = (format_.dequantize(format_.quantize(tiny), torch.float32) - tiny).norm()
    assert ours < 0.5 * (codes.float() * scale - tiny).norm()
    assert (scale == scale[0]).all()
