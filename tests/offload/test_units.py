import pipeline
import pytest
import torch
from lightquant.offload.settings import BLOCK, PHASE
from lightquant.offload.units import ALIGNMENT, Unit, layers_of, units_of, views

T5, CLIP = "models_t5_umt5-xxl-enc-fp8.pth", "models_clip_open-clip-xlm-roberta-large-vit-huge-14-fp8.pth"


def test_a_block_of_wan_has_three_phases(model):
    layers = layers_of(model.model)
    assert [unit.name for unit in units_of(layers, BLOCK)] == ["diffusion_model.blocks.0", "diffusion_model.blocks.1"]
    names = [unit.name.removeprefix("diffusion_model.blocks.") for unit in units_of(layers, PHASE)]
    assert names == [f"{block}.{phase}" for block in (0, 1) for phase in ("self_attn", "cross_attn", "ffn")]
    assert [layer.name.rpartition(".")[2] for layer in units_of(layers, PHASE)[2].layers] == ["0", "2"]


def test_layers_outside_the_blocks_are_left_to_comfyui(model):
    assert all(".blocks." in layer.name for layer in layers_of(model.model))


@pytest.mark.parametrize(("load", "file", "phases"), [(pipeline.load_t5, T5, 2), (pipeline.load_clip, CLIP, 2)])
def test_encoders_have_blocks_and_phases_too(models, load, file, phases):
    layers = layers_of(load(file).patcher.model)
    assert len(units_of(layers, PHASE)) == phases * len(units_of(layers, BLOCK)) > 0


def test_what_a_unit_is_made_of_fits_into_its_bytes_and_comes_out_again(model):
    for unit in units_of(layers_of(model.model), BLOCK):
        tensors = unit.tensors()
        buffer = torch.empty(unit.nbytes, dtype=torch.uint8)
        places = list(views(buffer, tensors))
        for place, tensor in zip(places, tensors, strict=True):
            assert (place.data_ptr() - buffer.data_ptr()) % ALIGNMENT == 0
            place.copy_(tensor)
        assert all(torch.equal(place.view(torch.uint8), tensor.contiguous().view(torch.uint8)) for place, tensor in zip(places, tensors, strict=True))


def test_a_layer_over_copies_is_the_layer(model):
    for layer in layers_of(model.model):
        weight, bias = layer.parameters([tensor.clone() for tensor in layer.tensors()])
        assert torch.equal(weight.dequantize(), layer.module.weight.dequantize())
        assert weight.data_ptr() != layer.module.weight.data_ptr()
        assert torch.equal(bias, layer.module.bias)


def test_units_may_differ_in_format_and_size(model):
    layers = layers_of(model.model)
    unit = Unit("mixed", tuple(layers[:2]))
    before = unit.nbytes
    layers[0].module.weight = torch.nn.Parameter(layers[0].module.weight.dequantize(), requires_grad=False)
    try:
        assert unit.nbytes > before
        weight, _ = layers[0].parameters(layers[0].tensors())
        assert weight.dtype.is_floating_point
    finally:
        layers[0].module.weight = None
