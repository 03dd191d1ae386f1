"""Blocks of every Wan that ComfyUI builds: computed in ours, or left to ComfyUI where they are of another kind."""

import pipeline
import pytest
import small_models
import torch
import wan_variants
from checks import cosine
from lightquant.bridge.block_patches import replaced, running
from lightquant.errors import FusionError
from lightquant.fusion.apply import compute_blocks
from lightquant.fusion.modes import FUSE, SHARE

OTHER_BLOCKS = {"2.1 HuMo"}


@pytest.fixture(params=list(wan_variants.VARIANTS))
def variant(request, models, tmp_path, add_folder):
    """Its name and a quantized model of it."""
    tensors = wan_variants.tensors(request.param)
    small_models.save_split(small_models.quantized(tensors, "dit", "fp8-channel"), tmp_path / "wan_split")
    add_folder("diffusion_models", tmp_path)
    return request.param, pipeline.load_dit("wan_split")


def test_latents_are_those_of_comfyuis_blocks(variant):
    name, model = variant
    kind = wan_variants.VARIANTS[name]
    text = pipeline.conditioning(1, image=kind.image, concat=kind.concat)
    expected = pipeline.sample(model, text, text, cfg=1.0, channels=kind.channels)
    for mode in (SHARE, FUSE):
        changed, said = model.clone(), []
        if name in OTHER_BLOCKS:
            with pytest.raises(FusionError, match="None of this model's 2 blocks"):
                compute_blocks(changed, mode)
            continue
        compute_blocks(changed, mode, said.append)
        found = pipeline.sample(changed, text, text, cfg=1.0, channels=kind.channels)
        assert said == [f"blocks of the last run: {len(replaced(changed))} computed so"]
        assert torch.equal(found, expected) if mode == SHARE else cosine(found, expected) > 0.9999


def test_an_image_and_one_to_refer_to_are_both_in_the_context():
    """WanDancer puts the tokens of two images before the text."""
    from lightquant.bridge.block_patches import _note

    class Executor:
        class_obj = torch.nn.Module()

        def __call__(self, x, timestep, context, clip_fea, time_dim_concat, options, **kwargs):
            return running(options).image_tokens

    Executor.class_obj.blocks = torch.nn.ModuleList()
    image, other = torch.empty(1, 257, 8), torch.empty(1, 100, 8)
    assert _note(Executor(), None, None, None) is None
    assert _note(Executor(), None, None, None, image) == 257
    assert _note(Executor(), None, None, None, image, clip_fea_ref=other) == 357
