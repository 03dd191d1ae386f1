"""A LoRA under dynamic VRAM, which patches a weight while it pages it in and keeps it so; its pages are doubled here, the rest is ComfyUI's own."""

from types import SimpleNamespace

import comfy.model_management
import comfy.ops
import comfy.pinned_memory
import comfy.utils
import pytest
import torch
from comfy.model_patcher import LowVramPatch
from comfy.weight_adapter import LoRAAdapter
from lightquant.bridge.layouts import plain, stored, wrap
from lightquant.bridge.lending import lend, take_back
from lightquant.bridge.linear import operations_for
from lightquant.formats import PACKINGS
from small_models import Weights

KEY = "blocks.0.ffn.0.weight"
PAGED = torch.device("cpu", 0)
"""Another device than that of the weights, by its name alone."""


@pytest.fixture
def pages(monkeypatch):
    """Pages that are never taken away. Returns what they hold by the address that a layer has."""
    held, vbar = {}, comfy.ops.comfy_aimdo.model_vbar
    monkeypatch.setattr(vbar, "vbar_fault", lambda address: "here")
    monkeypatch.setattr(vbar, "vbar_signature_compare", lambda found, known: found == known)
    monkeypatch.setattr(vbar, "vbar_unpin", lambda address: None)
    monkeypatch.setattr(comfy.ops.comfy_aimdo.torch, "aimdo_to_tensor", lambda address, device: held[address])
    monkeypatch.setattr(comfy.pinned_memory, "get_pin", lambda *_, **__: None)
    monkeypatch.setattr(comfy.pinned_memory, "pin_memory", lambda *_, **__: False)
    monkeypatch.setattr(comfy.model_management, "is_device_cpu", lambda device: False)
    return held


def adapter(dtype: torch.dtype) -> LoRAAdapter:
    draw = Weights(5)
    return LoRAAdapter(set(), (draw.normal(512, 8).to(dtype), draw.normal(8, 256, std=256**-0.5).to(dtype), 8.0, None, None, None))


def paged_layer(pages, weight: torch.Tensor, patches: list):
    """A Linear as ComfyUI's dynamic loading leaves it, with one patch of the weight."""
    layer = operations_for({}).Linear(256, 512, device="cpu", dtype=torch.bfloat16)
    layer.load_state_dict({"weight": weight, "bias": Weights(6).normal(512).bfloat16()}, assign=True)
    layer._v, layer._v_signature, layer.seed_key = 1, None, KEY
    pages[1] = torch.zeros(1 << 20, dtype=torch.uint8)
    layer.weight_lowvram_function, layer.bias_lowvram_function = LowVramPatch(KEY, {KEY: patches}), None
    return layer


def step(layer, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    loan = lend(layer, SimpleNamespace(device=PAGED, dtype=dtype))
    parts = *(part.clone() for part in plain(loan.weight)), loan.bias.clone()
    take_back(layer, loan)
    return parts


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("format_", PACKINGS, ids=lambda format_: f"{format_.name}, {format_.packing}")
def test_the_first_step_has_the_weight_of_the_later_ones(pages, format_, dtype):
    weight = wrap(format_.quantize(Weights(4).matrix(512, 256)), torch.bfloat16)
    patch = (1.0, adapter(dtype), 1.0, None, None)
    layer = paged_layer(pages, weight, [patch])
    before = [part.clone() for part in plain(layer.weight)]
    patched = LowVramPatch(KEY, {KEY: [patch]})(weight.to(dtype).dequantize())
    expected = format_.quantize(patched, seed=comfy.utils.string_to_seed(KEY))
    for _ in range(3):
        data, scale, bias = step(layer, dtype)
        assert torch.equal(data.view(torch.uint8), expected.data.view(torch.uint8))
        assert torch.equal(scale, expected.scale)
        assert torch.equal(bias, layer.bias.to(dtype))
    assert not torch.equal(before[0].view(torch.uint8), expected.data.view(torch.uint8))
    assert all(torch.equal(part.view(torch.uint8), old.view(torch.uint8)) for part, old in zip(stored(layer.weight), before, strict=True))


def test_a_float_layer_is_patched_so_too(pages):
    layer = paged_layer(pages, Weights(4).matrix(512, 256).bfloat16(), [(1.0, adapter(torch.bfloat16), 1.0, None, None)])
    first, _ = step(layer, torch.bfloat16)
    assert torch.equal(first, step(layer, torch.bfloat16)[0])
    assert not torch.equal(first, layer.weight)
