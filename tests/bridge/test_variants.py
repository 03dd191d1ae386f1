"""Every Wan that ComfyUI builds, quantized as LightX2V's converter does it, against its float model; each linear against the oracle."""

import float_models
import pipeline
import pytest
import small_models
import torch
import wan_variants
from checks import cosine, watching
from lightquant.kernels.reference import relative_error

CONVERTED = ("self_attn", "cross_attn", "ffn")
"""LightX2V's converter quantizes the two-dimensional tensors whose third part is one of these."""


def sample(model, variant: wan_variants.Variant) -> torch.Tensor:
    positive, negative = (pipeline.conditioning(seed, image=variant.image, concat=variant.concat) for seed in (1, 2))
    return pipeline.sample(model, positive, negative, channels=variant.channels)


@pytest.mark.parametrize("tag", ["fp8", "int8"])
@pytest.mark.parametrize("name", list(wan_variants.VARIANTS))
def test_a_quantized_model_agrees_with_its_float_model(models, checkpoint, tmp_path, add_folder, name, tag):
    variant, floats = wan_variants.VARIANTS[name], wan_variants.tensors(name)
    small_models.save_split(small_models.quantized(floats, "dit", f"{tag}-channel"), tmp_path / "wan_split")
    add_folder("diffusion_models", tmp_path)
    model, source = pipeline.load_dit("wan_split"), checkpoint("dit", "wan_split")
    reference = float_models.load_dit(floats, model.model.get_dtype())
    assert type(model.model) is type(reference.model)
    assert len(source.weights) == sum("blocks." in key and key.split(".")[2] in CONVERTED and tensor.ndim == 2 for key, tensor in floats.items())
    with watching(model.model.diffusion_model, source) as watch:
        given = sample(model, variant)
    watch.check(source.weights)
    expected = sample(reference, variant)
    error, similarity = relative_error(given.cpu(), expected.cpu()), cosine(given.cpu(), expected.cpu())
    print(f"{name}, {tag}: relative error {error:.4f}, cosine {similarity:.6f}")
    assert error < 0.15
    assert similarity > 0.985
