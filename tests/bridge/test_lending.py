"""How a layer's weight is lent by something else than ComfyUI."""

import pipeline
import pytest
import torch
from lightquant.bridge.lending import lend, patched, take_back


@pytest.fixture
def layer(models):
    return pipeline.load_dit("wan_t2v_int8.safetensors").model.diffusion_model.blocks[0].ffn[0]


class Lender:
    def __init__(self, weight, bias):
        self.loan = (weight, bias)

    def lend(self, module, x):
        return self.loan


def test_a_lender_serves_its_layer(layer):
    x = torch.randn(2, 3, 256)
    zero = torch.zeros_like(layer.bias)
    expected = layer(x) - layer.bias
    layer.lender = Lender(layer.weight, zero)
    loan = lend(layer, x)
    assert loan.bias is zero
    take_back(layer, loan)
    torch.testing.assert_close(layer(x), expected)
    del layer.lender
    assert lend(layer, x).bias is not zero


def test_a_lender_may_bring_a_float_weight(layer):
    x, weight = torch.randn(5, 256), torch.randn(512, 256)
    layer.lender = Lender(weight, None)
    assert torch.equal(layer(x), torch.nn.functional.linear(x, weight))


def test_a_float_layer_has_its_lender_too(layer):
    x = torch.randn(5, 256)
    layer.weight = torch.nn.Parameter(layer.weight.dequantize(), requires_grad=False)
    layer.lender = Lender(torch.zeros(512, 256), None)
    assert not layer(x).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_patches_never_reach_the_weight_itself(layer, dtype):
    before = layer.weight.dequantize().clone()
    for weight in (layer.weight, before):
        changed = patched(weight, [lambda value: value.add_(1)], dtype)
        assert changed.dtype is dtype
        torch.testing.assert_close(changed.float(), before + 1, rtol=0.01, atol=0.01)
    assert torch.equal(layer.weight.dequantize(), before)
