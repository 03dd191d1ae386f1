"""ComfyUI's own nodes that change how a MODEL is sampled, behind our loader: what they do with it is what they do with the float model."""

import checks
import float_models
import nodes
import pipeline
import pytest
import torch

STEPS = 8
FRAMES = 9
"""Latent frames: more than a context window holds."""


def sampled(model, frames: int = 2, steps: int = STEPS) -> torch.Tensor:
    latent = {"samples": torch.zeros(1, 16, frames, 8, 8)}
    positive, negative = pipeline.conditioning(), pipeline.conditioning(3)
    return nodes.KSampler().sample(model, 1, steps, 5.0, "euler", "simple", positive, negative, latent)[0]["samples"]


def cached(model, lazy: bool):
    """The model behind EasyCache or LazyCache, with a threshold that lets it skip steps."""
    nodes_cache = pytest.importorskip("comfy_extras.nodes_easycache")
    node = nodes_cache.LazyCacheNode if lazy else nodes_cache.EasyCacheNode
    return node.execute(model, reuse_threshold=2.0, start_percent=0.1, end_percent=0.95, verbose=False).args[0]


def windowed(model):
    """The model behind ComfyUI's context windows for Wan, which are as long as 5 latent frames."""
    windows = pytest.importorskip("comfy_extras.nodes_context_windows")
    given = {
        "context_length": 17, "context_overlap": 5, "context_schedule": "standard_static", "context_stride": 1, "closed_loop": False,
        "fuse_method": "pyramid",
    }  # fmt: skip
    defaults = {each.id: each.default for each in windows.WanContextWindowsManualNode.define_schema().inputs if each.id not in ("model", *given)}
    return windows.WanContextWindowsManualNode.execute(model, **given, **defaults).args[0]


@pytest.fixture
def both(models, floats):
    """Our MODEL and the float one."""
    return pipeline.load_dit("wan_t2v_int8.safetensors"), float_models.load_dit(floats["dit"])


@pytest.mark.parametrize("lazy", [False, True])
def test_caching_skips_steps_of_ours_as_of_the_float_model(both, lazy):
    ours, reference = both
    plain, skipping = sampled(ours), sampled(cached(ours, lazy))
    assert not torch.equal(plain, skipping)
    assert checks.cosine(skipping, sampled(cached(reference, lazy))) > 0.99
    assert torch.equal(sampled(ours), plain)


def test_context_windows_cut_our_video_as_the_float_models(both):
    ours, reference = both
    plain, cut = sampled(ours, FRAMES, 2), sampled(windowed(ours), FRAMES, 2)
    assert cut.shape == plain.shape
    assert not torch.equal(plain, cut)
    assert checks.cosine(cut, sampled(windowed(reference), FRAMES, 2)) > 0.99
    assert torch.equal(sampled(ours, FRAMES, 2), plain)
