"""What ComfyUI sees of a model whose blocks are streamed."""

import comfy.lora
import comfy.model_management
import torch
from lightquant.offload.curtain import Curtain
from lightquant.offload.units import layers_of
from offloading import offloaded, sample


def test_while_it_is_loaded_and_run_comfyui_moves_the_rest_alone(model):
    clone, moved = offloaded(model, keep=0.5), []
    streamed = [layer.module for layer in layers_of(model.model) if layer.block.endswith("blocks.0")]
    kept = [layer.module for layer in layers_of(model.model) if layer.block.endswith("blocks.1")]
    sample(clone)
    moved = [module for module in model.model.modules() if getattr(module, "comfy_patched_weights", False)]
    assert not set(streamed) & set(moved)
    assert set(kept) <= set(moved)


def test_during_and_after_a_run_the_layers_are_in_their_places(model):
    seen = []

    def look(executor, *args, **kwargs):
        seen.append(any(isinstance(module, Curtain) for module in model.model.modules()))
        return executor(*args, **kwargs)

    clone = offloaded(model)
    clone.add_wrapper_with_key("diffusion_model", "test", look)
    for _ in range(2):
        sample(clone)
    assert seen
    assert not any(seen)
    assert not any(isinstance(module, Curtain) for module in model.model.modules())


def test_behind_the_curtain_the_keys_are_the_same(model):
    clone = offloaded(model)
    before = model.model.state_dict().keys()
    known = comfy.lora.model_lora_keys_unet(model.model, {})
    clone.patch_model(load_weights=False)
    try:
        assert any(isinstance(module, Curtain) for module in model.model.modules())
        assert model.model.state_dict().keys() == before
        assert comfy.lora.model_lora_keys_unet(model.model, {}) == known
    finally:
        clone.unpatch_model(unpatch_weights=False)
    assert not any(isinstance(module, Curtain) for module in model.model.modules())


def test_a_layer_that_is_called_behind_the_curtain_comes_forward(model):
    clone = offloaded(model)
    x = torch.randn(1, 4, 256)
    expected = model.model.diffusion_model.blocks[0].ffn(x)
    comfy.model_management.load_models_gpu([clone])
    clone.patch_model(load_weights=False)
    assert torch.equal(model.model.diffusion_model.blocks[0].ffn(x), expected)
    assert not any(isinstance(module, Curtain) for module in model.model.modules())
