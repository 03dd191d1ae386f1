"""What storing costs a layer, against the same figures by the plainest arithmetic."""

from math import inf

import pytest
import torch
from lightquant.convert.settings import COMFYUI
from lightquant.convert.stored import packing_for
from lightquant.formats import FORMATS, FP8_CHANNEL, INT8_CHANNEL, MSE, QuantizedWeight
from lightquant.formats.int4_g128 import packed
from lightquant.reports.weight_errors import FLOAT, layer_error, stored_error
from small_models import Weights

SHAPE = (320, 256)


@pytest.fixture(scope="module")
def weight():
    return Weights(5).matrix(*SHAPE)


@pytest.mark.parametrize("name", FORMATS)
def test_the_figures_are_those_of_the_weight_that_comes_back(name, weight, monkeypatch):
    monkeypatch.setattr("lightquant.reports.weight_errors._PIECE", 2**15)  # three pieces
    format_ = packing_for(name)
    found = layer_error("a.b", weight, format_)
    back = format_.dequantize(format_.quantize(weight), torch.float32)
    expected = (back - weight).double().square().sum()
    assert found.squared_error == pytest.approx(float(expected), rel=1e-6)
    assert found.squared_norm == pytest.approx(float(weight.double().square().sum()), rel=1e-6)
    assert found.relative_error == pytest.approx(float((back - weight).double().norm() / weight.double().norm()), rel=1e-6)
    assert 10 ** (-found.sqnr_db / 20) == pytest.approx(found.relative_error)
    assert (found.layer, found.format, found.rows, found.elements) == ("a.b", name, 320, 320 * 256)
    assert found.error_per_byte_saved == pytest.approx(found.relative_squared * 320 * 256 / (found.float_bytes - found.stored_bytes))


def test_fewer_bits_cost_more_and_save_more():
    weight = _gaussian()
    errors = {name: layer_error("a", weight, packing_for(name)) for name in FORMATS}
    assert errors["int8-channel"].relative_error < errors["fp8-channel"].relative_error < errors["int4-g128"].relative_error
    assert errors["int4-g128"].stored_bytes < errors["fp8-b128"].stored_bytes < errors["fp8-channel"].stored_bytes
    assert errors["fp8-channel"].stored_bytes == 320 * 256 + 320 * 4
    assert errors["fp8-channel"].float_bytes == 320 * 256 * 2
    assert layer_error("a", weight, packing_for("int4-g128"), MSE).squared_error < errors["int4-g128"].squared_error


def test_a_float_layer_costs_what_its_dtype_rounds_away(weight):
    kept = layer_error("a", weight.bfloat16(), None)
    assert (kept.format, kept.squared_error, kept.sqnr_db, kept.error_per_byte_saved) == (FLOAT, 0, inf, None)
    rounded = layer_error("a", weight, None)
    assert 0 < rounded.relative_error < 2**-8
    assert rounded.stored_bytes == rounded.float_bytes == 320 * 256 * 2


def test_one_scale_a_tensor_is_measured_as_comfyui_has_it(weight):
    found = layer_error("a", weight, FP8_CHANNEL, reader=COMFYUI)
    scale = weight.abs().max() / 448
    back = (weight / scale).to(torch.float8_e4m3fn).float() * scale
    assert found.squared_error == pytest.approx(float((back - weight).double().square().sum()), rel=1e-3)


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_zeros_and_cut_off_rows_are_counted(name):
    weight = _gaussian()
    weight[[3, 200]] = 0
    format_ = packing_for(name)
    stored = format_.quantize(weight)
    whole = stored_error("a", weight, format_, stored)
    assert (whole.dead, whole.saturated) == (2, 0)
    # The codes of a weight four times as large, with the scales of this one: all that is in their reach is right, and the rest is cut off.
    cut = _with_scales(format_, weight, stored.scale / 4)
    found = stored_error("a", weight, format_, cut)
    assert found.dead == 2
    assert found.saturated == 318
    assert found.relative_error > 3 * whole.relative_error


def test_a_layer_of_zeros_has_no_error_and_no_infinity():
    found = layer_error("a", torch.zeros(4, 128), INT8_CHANNEL)
    assert (found.relative_error, found.sqnr_db, found.dead, found.weighted) == (0, inf, 4, 0)


def _gaussian():
    return torch.randn(*SHAPE, generator=torch.Generator().manual_seed(1))


def _with_scales(format_, weight, scale):
    """The weight stored with these scales, whatever it takes."""
    plain = FORMATS[format_.name]
    scale = format_.to_plain(QuantizedWeight(format_.quantize(weight).data, scale)).scale.float()
    spread = {"int4-g128": scale.repeat_interleave(128, 1), "fp8-b128": scale.repeat_interleave(128, 0)[: len(weight)].repeat_interleave(128, 1)}
    codes = torch.where((values := spread.get(plain.name, scale).expand_as(weight)) == 0, 0.0, weight / values)
    if plain.name == "int4-g128":
        codes = (codes.round().clamp(-8, 7) + 8).to(torch.uint8)
        return format_.from_plain(QuantizedWeight(packed(codes), scale.half()))
    return QuantizedWeight(
        codes.clamp(-448, 448).to(plain.dtype) if plain is not INT8_CHANNEL else codes.round().clamp(-127, 127).to(torch.int8), scale
    )
