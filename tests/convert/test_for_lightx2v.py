"""Encoders in ComfyUI's names: written for LightX2V they have Wan's, tensor for tensor, and in every layout they are read back."""

import pytest
import small_models
import torch
from lightquant.bridge.folders import open_file
from lightquant.cli import main
from lightquant.convert.for_lightx2v import name_for_lightx2v
from lightquant.convert.source import Source
from lightquant.errors import ConvertError
from lightquant.loaders import read
from lightquant.loaders.components import COMPONENTS, component_of
from lightquant.loaders.storage import headers, open_storage

UNUSED = {"t5": "logit_scale", "clip": "vision_model.embeddings.position_ids"}


def for_comfyui(floats, component: str) -> dict[str, torch.Tensor]:
    tensors = COMPONENTS[component].naming_of(floats[component]).rename(floats[component])
    return {key: tensor.contiguous() for key, tensor in tensors.items()} | {UNUSED[component]: torch.ones(1)}


@pytest.mark.parametrize("component", ["t5", "clip"])
def test_a_file_in_comfyuis_names_becomes_that_of_the_same_model_in_wans(tmp_path, floats, component):
    source = small_models.save(for_comfyui(floats, component), tmp_path / "comfyui.safetensors")
    assert main(["convert", str(source), str(tmp_path / "out.safetensors"), "--format", "int8-channel", "--dtype", "fp32"]) == 0
    written = open_storage(str(tmp_path / "out.safetensors"), open_file)[0]
    expected = small_models.quantized(floats[component], component, "int8-channel")
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[key], expected[key]) for key in expected.keys() - {"log_scale"})  # which ComfyUI's files lack, and LightX2V wants


@pytest.mark.parametrize("layout", ["single", "split", "chunked"])
@pytest.mark.parametrize("names", ["wan", "comfyui"])
@pytest.mark.parametrize("component", ["t5", "clip"])
def test_every_layout_of_the_encoders_is_read_back(tmp_path, floats, component, names, layout):
    tensors = floats[component] if names == "wan" else for_comfyui(floats, component)
    source, target = small_models.save(tensors, tmp_path / "float.safetensors"), tmp_path / "out.safetensors"
    assert main(["convert", str(source), str(target), "--format", "fp8-channel", "--layout", layout]) == 0
    assert read(str(target), component, open_file).format == "fp8-channel"
    assert layout != "split" or (target / "block_1.safetensors").exists()


def test_a_recipe_of_umt5_serves_both_readers(tmp_path, floats, spiece):
    (tmp_path / "umt5.model").write_bytes(spiece)
    recipe = tmp_path / "recipe.json"
    source = small_models.save(for_comfyui(floats, "t5"), tmp_path / "float.safetensors")
    assert main(["plan", str(source), "--budget", "60%", "--formats", "int8-channel", "--out", str(recipe)]) == 0
    assert '"blocks.0.attn.q"' in recipe.read_text()
    for reader in ("lightx2v", "comfyui"):
        more = ["--tokenizer", str(tmp_path / "umt5.model")] if reader == "comfyui" else []
        assert main(["convert", str(source), str(tmp_path / f"{reader}.safetensors"), "--recipe", str(recipe), "--for", reader, *more]) == 0
        assert component_of(headers(str(tmp_path / f"{reader}.safetensors"))).name == "t5"


def test_what_wans_model_has_no_place_for_and_what_lacks_a_part_is_refused(tmp_path, floats):
    def refusal(tensors) -> str:
        with pytest.raises(ConvertError) as caught:
            name_for_lightx2v(Source(str(small_models.save(tensors, tmp_path / "odd.safetensors"))))
        return str(caught.value)

    clip = for_comfyui(floats, "clip")
    assert "it has 1 keys that no such model has: text_model.x" in refusal({**clip, "text_model.x": torch.ones(1)})
    key = "vision_model.encoder.layers.1.self_attn.k_proj.weight"
    assert f"it has no {key}. The file is incomplete" in refusal({name: tensor for name, tensor in clip.items() if name != key})


def test_a_dit_stays_as_it_is(tmp_path, floats):
    source = Source(str(small_models.save(floats["dit"], tmp_path / "dit.safetensors")))
    name_for_lightx2v(source)
    assert source.headers.keys() == floats["dit"].keys()
