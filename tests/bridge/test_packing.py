"""int4 in Marlin's packing: read from LightX2V's files, repacked for a kernel that wants it, and the same model in either."""

import pipeline
import pytest
import small_models
import torch
from comfy.quant_ops import QuantizedTensor
from lightquant.formats import INT4_G128, INT4_MARLIN, QuantizedWeight
from lightquant.kernels.expand import Expanded
from lightquant.kernels.registry import VARIANTS
from lightquant.reports.inspect import inspect

POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)
LAYER = "blocks.0.self_attn.q"


@pytest.fixture
def plain(floats, models, tmp_path, add_folder):
    """The small DiT as int4.safetensors, plainly packed, in a folder of this test's own."""
    add_folder("diffusion_models", tmp_path)
    tensors = small_models.quantized(floats["dit"], "dit", "int4-g128")
    small_models.save(tensors, tmp_path / "int4.safetensors")
    return tensors


@pytest.fixture
def marlin(plain, tmp_path):
    """The same model as LightX2V has it, marlin.safetensors: Marlin's packing, and its scratch memory beside every weight."""
    tensors = dict(plain)
    for key in [key for key, tensor in plain.items() if tensor.dtype is torch.uint8]:
        packed = INT4_MARLIN.from_plain(QuantizedWeight(plain[key], plain[key + "_scale"]))
        workspace = torch.zeros(packed.scale.shape[1] // 128 * 16, dtype=torch.int32)
        tensors.update({key: packed.data, key + "_scale": packed.scale, key + "_workspace": workspace})
    small_models.save(tensors, tmp_path / "marlin.safetensors")
    return tensors


class ReadsMarlin(Expanded):
    """The plain way, for weights in Marlin's packing alone."""

    def __init__(self):
        super().__init__("int4-g128-torch", "int4-g128", "for a test")
        self.packings = (INT4_MARLIN.packing,)


def weight_of(model) -> QuantizedTensor:
    return model.model.diffusion_model.get_submodule(LAYER).weight


def test_lightx2vs_file_is_the_same_model(marlin):
    model = pipeline.load_dit("marlin.safetensors", scheme="int4-g128-torch", missing_kernel="stop")
    assert weight_of(model)._qdata.dtype is torch.int32
    assert weight_of(model).shape == (256, 256)
    given = pipeline.sample(model, POSITIVE, NEGATIVE)
    assert torch.equal(given, pipeline.sample(pipeline.load_dit("int4.safetensors"), POSITIVE, NEGATIVE))


def test_a_kernel_that_wants_marlins_packing_gets_it(plain, marlin, monkeypatch):
    expected = pipeline.sample(pipeline.load_dit("int4.safetensors"), POSITIVE, NEGATIVE)
    monkeypatch.setitem(VARIANTS, "int4-g128-torch", (ReadsMarlin(),))
    repacked = pipeline.load_dit("int4.safetensors")
    assert torch.equal(weight_of(repacked)._qdata, marlin[LAYER + ".weight"])
    assert torch.equal(pipeline.sample(repacked, POSITIVE, NEGATIVE), expected)
    assert torch.equal(pipeline.sample(pipeline.load_dit("marlin.safetensors"), POSITIVE, NEGATIVE), expected)


def test_a_lora_is_baked_in_the_packing_and_comes_off_again(marlin):
    model = pipeline.load_dit("marlin.safetensors")
    before = pipeline.sample(model, POSITIVE, NEGATIVE)
    draw = small_models.Weights(9)
    patched = model.clone()
    patched.add_patches({f"diffusion_model.{LAYER}.weight": ("diff", (draw.normal(256, 8) @ draw.normal(8, 256),))}, 1.0)
    assert not torch.equal(pipeline.sample(patched, POSITIVE, NEGATIVE), before)
    assert weight_of(patched)._qdata.dtype is torch.int32
    assert torch.equal(pipeline.sample(model, POSITIVE, NEGATIVE), before)


def test_what_is_saved_is_what_was_read(marlin):
    model = pipeline.load_dit("marlin.safetensors")
    saved = model.model.diffusion_model.state_dict()
    assert torch.equal(saved[LAYER + ".weight"], marlin[LAYER + ".weight"])
    assert torch.equal(saved[LAYER + ".weight_scale"], marlin[LAYER + ".weight_scale"])
    assert not [key for key in saved if key.endswith("_workspace")]


def test_the_inspector_names_the_packing(marlin, tmp_path, floats):
    report = inspect(str(tmp_path / "marlin.safetensors"), torch.device("cpu"), data=True)
    layers = {layer.name: layer for layer in report.layers}
    assert layers[LAYER].precision == "int4, one scale a group of 128, packed for Marlin"
    assert layers["blocks.0.ffn.2"].shape == (256, 512)
    assert report.format == "int4-g128"
    assert report.parameters == sum(tensor.numel() for tensor in floats["dit"].values())
    assert report.data.findings == ()


def test_quantizing_in_the_packing_is_quantizing_and_packing(plain):
    weight = small_models.Weights(3).matrix(128, 256)
    for part, expected in zip(INT4_MARLIN.quantize(weight, 5), INT4_MARLIN.from_plain(INT4_G128.quantize(weight, 5)), strict=True):
        assert torch.equal(part, expected)
