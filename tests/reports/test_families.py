"""Which model a file is, from keys and shapes: ComfyUI's own classes and the published sizes."""

import pytest
import sparse_files
import torch
import wan_variants
from lightquant.loaders.checkpoint import without_prefix
from lightquant.loaders.files import Header
from lightquant.loaders.storage import headers
from lightquant.reports.families import family_of

NAMES = {
    "2.1 T2V, 2.2 T2V A14B": "Wan2.1 T2V",
    "2.1 I2V": "Wan2.1 I2V",
    "2.1 FLF2V": "Wan2.1 FLF2V",
    "2.1 Fun Control": "Wan2.1 Fun Control",
    "2.1 VACE": "Wan2.1 VACE",
    "2.1 Camera": "Wan2.1 Fun Camera",
    "2.1 HuMo": "HuMo (Wan2.1)",
    "2.2 I2V A14B": "Wan2.2 I2V",
    "2.2 Camera": "Wan2.2 Fun Camera",
    "2.2 TI2V 5B": "Wan2.2 TI2V",
    "2.2 Animate": "Wan2.2 Animate",
    "2.2 S2V": "Wan2.2 S2V",
}


@pytest.mark.parametrize("name", list(wan_variants.VARIANTS))
def test_every_wan_that_comfyui_builds(name):
    tensors = wan_variants.tensors(name)
    family = family_of("dit", {key: Header(t.dtype, tuple(t.shape), t.nbytes, "", 0) for key, t in tensors.items()})
    assert (family.name, family.width, family.twin) == (NAMES[name], 256, "")
    assert family.blocks == wan_variants.VARIANTS[name].more.get("num_layers", 2)


SIZES = {
    "Wan2.1 T2V 1.3B": (sparse_files.wan(1536, 8960, 30), ""),
    "Wan2.1 T2V 14B": (sparse_files.wan(5120, 13824, 40), "an expert of Wan2.2 T2V-A14B"),
    "Wan2.1 I2V 14B": (sparse_files.wan(5120, 13824, 40, 36, image=True), "Wan2.1 Fun InP 14B"),
    "Wan2.1 Fun InP 1.3B": (sparse_files.wan(1536, 8960, 30, 36, image=True), ""),
    "Wan2.2 I2V-A14B, one expert (high or low noise)": (sparse_files.wan(5120, 13824, 40, 36), "an expert of Wan2.2 Fun InP A14B"),
    "Wan2.2 TI2V-5B": (sparse_files.wan(3072, 14336, 30, 48, out=48), ""),
    "Wan2.1 T2V": (sparse_files.wan(5120, 13824, 4), ""),
}


@pytest.mark.parametrize("name", list(SIZES))
def test_published_sizes_and_their_twins(name, tmp_path):
    entries, twin = SIZES[name]
    sparse_files.write({f"model.diffusion_model.{key}": entry for key, entry in entries.items()}, tmp_path / "m.safetensors")
    family = family_of("dit", without_prefix(headers(str(tmp_path / "m.safetensors"))))
    assert (family.name, family.twin) == (name, twin)


def test_encoders(tmp_path):
    for component, entries, name in (
        ("t5", sparse_files.umt5(), "umt5-xxl"),
        ("t5", sparse_files.umt5(blocks=3, words=99), "umt5 of 99 words"),
        ("clip", sparse_files.vit(), "ViT-H/14"),
        ("clip", sparse_files.vit(1024, 24), "ViT-L/14"),
        ("clip", sparse_files.vit(layers=2), "ViT"),
    ):
        sparse_files.write(entries, tmp_path / "m.safetensors")
        assert family_of(component, headers(str(tmp_path / "m.safetensors"))).name == name


def test_encoders_in_comfyuis_names():
    def header(*shape: int) -> Header:
        return Header(torch.bfloat16, shape, 0, "", 0)

    t5 = {"shared.weight": header(256384, 4096)}
    for block in range(24):
        t5[f"encoder.block.{block}.layer.1.DenseReluDense.wi_1.weight"] = header(10240, 4096)
    assert family_of("t5", t5).name == "umt5-xxl"
    clip = {"vision_model.embeddings.patch_embedding.weight": header(1280, 3, 14, 14)}
    clip |= {f"vision_model.encoder.layers.{layer}.mlp.fc1.weight": header(5120, 1280) for layer in range(32)}
    assert family_of("clip", clip).name == "ViT-H/14"
