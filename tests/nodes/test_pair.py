"""The two experts of Wan2.2 A14B: found, loaded, told apart, and never exchanged in silence."""

import pipeline
import pytest
import small_models
import torch
from lightquant.bridge.record import record_of
from lightquant.errors import CheckpointError, DiscoveryError

POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)


@pytest.fixture
def experts(tmp_path, monkeypatch):
    """A diffusion_models folder with nothing but a pair in it, in Wan2.2's names; gives the folder and the two float models."""
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(tmp_path)], {".safetensors", ".pth"}))
    floats = {expert: small_models.dit(seed=seed) for expert, seed in (("high", 11), ("low", 12))}
    for expert, tensors in floats.items():
        save(tensors, tmp_path / f"wan2.2_i2v_A14b_{expert}_noise_int8_lightx2v_4step.safetensors")
    return tmp_path


def save(tensors, path):
    small_models.save(small_models.quantized(tensors, "dit", "int8-channel"), path)


def latents(model) -> torch.Tensor:
    return pipeline.sample(model, POSITIVE, NEGATIVE)


def test_both_are_found(experts):
    high, low = pipeline.load_pair()
    for model, expert in ((high, "high"), (low, "low")):
        alone = pipeline.load_dit(f"wan2.2_i2v_A14b_{expert}_noise_int8_lightx2v_4step.safetensors")
        assert torch.equal(latents(model), latents(alone))
    assert not torch.equal(latents(high), latents(low))


def test_they_sample_one_after_the_other_as_in_the_usual_graph(experts):
    import nodes

    high, low = pipeline.load_pair()
    empty = {"samples": torch.zeros(1, 16, 2, 8, 8)}
    common = (4, 1.0, "euler", "simple", POSITIVE, NEGATIVE)
    (first,) = nodes.KSamplerAdvanced().sample(high, "enable", 7, *common, empty, 0, 2, "enable")
    (second,) = nodes.KSamplerAdvanced().sample(low, "disable", 7, *common, first, 2, 4, "disable")
    assert torch.isfinite(second["samples"]).all()
    assert not torch.equal(second["samples"], first["samples"])


def test_the_other_one_is_found_beside_the_picked_one(experts):
    """Though there are two pairs, and even the folders carry the names."""
    for expert, seed in (("high", 13), ("low", 14)):
        save(small_models.dit(seed=seed), experts / "second" / f"{expert}_noise_model" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(DiscoveryError, match=r"looked for a high-noise Wan DiT .* and found 2"):
        pipeline.load_pair()
    picked = "second/low_noise_model/diffusion_pytorch_model.safetensors"
    high, low = pipeline.load_pair(low_noise=picked)
    alone = pipeline.load_dit(picked.replace("low", "high"))
    assert torch.equal(latents(high), latents(alone))
    assert torch.equal(latents(low), latents(pipeline.load_dit(picked)))


def test_the_one_beside_is_not_taken_in_another_format(experts):
    low = small_models.quantized(small_models.dit(seed=15), "dit", "fp8-channel")
    small_models.save(low, experts / "second" / "wan_low_noise.safetensors")
    picked = small_models.quantized(small_models.dit(seed=16), "dit", "fp8-channel")
    name = "wan2.2_i2v_A14b_high_noise_int8_lightx2v_4step.safetensors"
    small_models.save(picked, experts / name)
    _, found = pipeline.load_pair(high_noise=name, scheme="fp8-sgl")
    assert torch.equal(latents(found), latents(pipeline.load_dit("second/wan_low_noise.safetensors", scheme="fp8-sgl")))


def test_exchanged_experts_are_refused(experts):
    high, low = (f"wan2.2_i2v_A14b_{expert}_noise_int8_lightx2v_4step.safetensors" for expert in ("high", "low"))
    with pytest.raises(CheckpointError, match=r"low_noise.* is the low-noise expert by its name, and was picked as the high-noise one. Exchange"):
        pipeline.load_pair(high_noise=low, low_noise=high)


def test_one_file_for_both_is_refused(experts):
    save(small_models.dit(), experts / "unnamed.safetensors")
    with pytest.raises(CheckpointError, match=r"Both experts are .*unnamed"):
        pipeline.load_pair(high_noise="unnamed.safetensors", low_noise="unnamed.safetensors")


def test_experts_of_two_models_are_refused(experts):
    save(small_models.dit(width=384), experts / "wider_low_noise.safetensors")
    with pytest.raises(CheckpointError, match=r"not the experts of one model: .* is \[.*\] in the first and \[.*\] in the second"):
        pipeline.load_pair(low_noise="wider_low_noise.safetensors", high_noise="wan2.2_i2v_A14b_high_noise_int8_lightx2v_4step.safetensors")


def test_one_without_the_other(experts):
    (experts / "wan2.2_i2v_A14b_low_noise_int8_lightx2v_4step.safetensors").unlink()
    with pytest.raises(DiscoveryError, match="looked for a low-noise Wan DiT"):
        pipeline.load_pair()


def test_the_single_loader_points_to_the_pairs(experts):
    with pytest.raises(DiscoveryError, match="Load a high-noise and a low-noise expert with the pair's node"):
        pipeline.load_dit("find it")


def test_the_fingerprint_follows_both_files(experts):
    from lightquant.nodes.pair import LoadDiTPair

    values = {"scheme": "auto", "high_noise": "find it", "low_noise": "find it", "dtype": "auto", "missing_kernel": "substitute"}
    seen = {LoadDiTPair.fingerprint_inputs(**values)}
    assert LoadDiTPair.fingerprint_inputs(**values) in seen
    for expert in ("high", "low"):
        path = experts / f"wan2.2_i2v_A14b_{expert}_noise_int8_lightx2v_4step.safetensors"
        save(small_models.dit(seed=20, ffn=640), path)
        seen.add(LoadDiTPair.fingerprint_inputs(**values))
    path.unlink()
    seen.add(LoadDiTPair.fingerprint_inputs(**values))
    assert len(seen) == 4


def test_the_float_experts_are_quantized_while_they_load_once_one_is_picked(experts):
    for expert, seed in (("high", 11), ("low", 12)):
        small_models.save(small_models.dit(seed=seed), experts / f"float_{expert}_noise.safetensors")
    stored = pipeline.load_pair(scheme="int8-torch")
    quantized = pipeline.load_pair(scheme="int8-torch", low_noise="float_low_noise.safetensors", dtype="fp32")
    for model, float_model in zip(stored, quantized, strict=True):
        assert record_of(model).how is None
        assert record_of(float_model).how == "quantized while loading, absmax"
        assert torch.equal(latents(float_model), latents(model))
