"""Shapes and sizes are those of the real models, and a plan's VRAM is Offload Model's."""

import json

import pytest
import random_wan
import small_models
import torch
from lightquant.reports.fit.before import vae_of
from lightquant.reports.fit.encoders import T5, clip_shapes, t5_shapes
from lightquant.reports.fit.models import MODELS, Model
from lightquant.reports.fit.sizes import FLOAT, GIB, Sizes, encoder_bytes, sizes
from tables import RESULTS

HEADER_BYTES = 200_000
"""A file's header is not counted."""


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_shapes_are_comfyuis(model):
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    built = WanModel(
        model_type="i2v" if model.image else "t2v", dim=model.width, ffn_dim=model.ffn, num_heads=model.width // 128, num_layers=model.blocks,
        in_dim=model.takes, out_dim=model.gives, device="meta", dtype=torch.bfloat16, operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    assert dict(model.shapes) == {key: tuple(tensor.shape) for key, tensor in built.state_dict().items()}


def test_the_shapes_are_those_that_were_measured():
    assert dict(MODELS["wan2.1-t2v-14b"].shapes) == dict(random_wan.shapes())


@pytest.mark.parametrize(("name", "image"), [("wan2.1-t2v-14b", False), ("wan2.1-i2v-14b", True)])
def test_the_shapes_are_those_of_the_small_models(name, image):
    small = Model("small", "", 256, 512, 2, 36 if image else 16, 16, image=image)
    assert dict(small.shapes) == {key: tuple(tensor.shape) for key, tensor in small_models.dit(image).items()}
    assert MODELS[name].image is image


def test_the_encoders_shapes_are_those_of_the_small_models(floats):
    found = {name: {key: tuple(tensor.shape) for key, tensor in floats[name].items()} for name in ("t5", "clip")}
    assert t5_shapes(words=128, ffn=256, heads=2, blocks=2) == found["t5"]
    assert clip_shapes(mlp=512, layers=3) == found["clip"]
    assert 5.6e9 < encoder_bytes(T5, FLOAT) / 2 < 5.75e9


@pytest.mark.parametrize("scheme", ["fp8-torch", "int8-torch"])
def test_a_file_is_as_large_as_the_measured_one(scheme):
    rows = json.loads((RESULTS / "h200_dit_step_gaussian.json").read_text(encoding="utf-8"))["rows"]
    measured = next(row["file_gb"] for row in rows if row["variant"] == f"lightquant-{scheme}") * 1e9
    counted = sizes(MODELS["wan2.1-t2v-14b"], scheme.replace("torch", "channel")).all
    assert 0 < measured - counted < HEADER_BYTES


@pytest.mark.parametrize("name", ["wan2.1-t2v-14b", "wan2.2-ti2v-5b"])
def test_the_vaes_are_comfyuis(name):
    import comfy.ldm.wan.vae
    import comfy.ldm.wan.vae2_2

    about = {"dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": [], "temperal_downsample": [False, True, True], "dropout": 0.0}
    with torch.device("meta"):
        if MODELS[name].pixels == 8:
            built = comfy.ldm.wan.vae.WanVAE(dim=96, z_dim=16, **about)
        else:
            built = comfy.ldm.wan.vae2_2.WanVAE(dim=160, z_dim=48, **about)
    assert vae_of(MODELS[name]).parameters == sum(parameter.numel() for parameter in built.parameters())


def test_the_parts_make_the_whole():
    for model in MODELS.values():
        for format_name in (FLOAT, "fp8-channel", "int4-g128"):
            found = sizes(model, format_name)
            assert 0 < found.outside < 0.07 * found.all
            assert found.block / 3 < found.phase < found.block
            assert found.budget(found.blocks, found.block) == found.all


def test_what_is_kept_is_what_offload_model_keeps(models, add_folder, tmp_path):
    import pipeline
    from lightquant.bridge import memory
    from lightquant.offload.plan import make_plan
    from lightquant.offload.settings import Settings
    from lightquant.offload.units import layers_of, units_of

    tensors = small_models.quantized(small_models.dit(width=128, ffn=256, blocks=8), "dit", "fp8-channel")
    small_models.save(tensors, tmp_path / "eight.safetensors")
    add_folder("diffusion_models", tmp_path)
    model = pipeline.load_dit("eight.safetensors")
    layers, total = layers_of(model.model), memory.weight_bytes(model)
    block = sum(tensor.nbytes for layer in layers for tensor in layer.tensors()) // 8
    for granularity in ("block", "phase"):
        unit = max(unit.nbytes for unit in units_of(layers, granularity))
        counted = Sizes(total, block, unit, 8)
        for budget in range(counted.budget(0, unit), total + 1, max(1, total // 20)):
            plan = make_plan(layers, total, Settings(vram_gib=budget / GIB, granularity=granularity))
            kept = counted.kept(budget, unit)
            assert (plan.kept, plan.vram_bytes) == (kept, counted.budget(kept, unit))
            assert plan.streamed_bytes == pytest.approx((8 - kept) * block, rel=0.05)
        assert counted.kept(counted.budget(0, unit) - 1, unit) is None
