"""Recipes: what they may say, what is said of what they may not, and that a conversion follows them layer by layer."""

import json
import os

import pytest
import small_models
import torch
from lightquant.convert import recipe as module
from lightquant.convert.plan import plan_of
from lightquant.convert.recipe import MadeFor, Recipe, read, write
from lightquant.convert.run import run, size_of
from lightquant.convert.settings import Settings
from lightquant.convert.source import Source
from lightquant.errors import ConvertError
from lightquant.formats import FORMATS, INT4_MARLIN, QuantizedWeight, stored_as
from safetensors import safe_open
from safetensors.torch import load_file

LEAST = {"lightquant_recipe": 1, "component": "dit", "layers": {"*": "int8-channel"}}
MIXED = {
    "blocks.0.self_attn.q": "float",
    "blocks.*.ffn.*": "int4-g128",
    "*.cross_attn.?": "fp8-b128",
    "blocks.0.*": "fp8-channel",
    "*": "int8-channel",
}


def stored(tmp_path, content) -> str:
    path = tmp_path / "recipe.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.fixture
def source(tmp_path, floats):
    return small_models.save(floats["dit"], tmp_path / "float.safetensors")


def settings(**options) -> Settings:
    return Settings(None, dtype="fp32", recipe=Recipe(**{"component": "dit", "layers": MIXED, "path": "mixed.json", **options}))


def convert(source, target, chosen: Settings) -> None:
    opened = Source(str(source))
    run(opened, plan_of(str(source), opened.headers, chosen, target.stem), str(target))


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "recipe.json")
    recipe = Recipe("t5", {"blocks.0.attn.q": "float", "*": "fp8-channel"}, "mse", "bf16", MadeFor("a.pth", 2, 10), "for one", path)
    write(recipe, path)
    assert read(path) == recipe
    assert os.listdir(tmp_path) == ["recipe.json"]
    bare = Recipe("dit", {"*": "int8-channel"}, path=stored(tmp_path, LEAST))
    assert read(path) == bare


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "it is no JSON"),
        ('["a"]', 'does not say "lightquant_recipe": 1'),
        ({**LEAST, "lightquant_recipe": 2}, 'does not say "lightquant_recipe": 1'),
        ({**LEAST, "formats": {}}, "it has formats, which no recipe has"),
        ({**LEAST, "component": "vae"}, 'component is "vae", where one of dit, t5, clip is needed'),
        ({"lightquant_recipe": 1, "layers": {"*": "float"}}, "component is null"),
        ({**LEAST, "scale": "max"}, 'scale is "max", where one of absmax, mse'),
        ({**LEAST, "dtype": ["bf16"]}, "where one of bf16, fp16, fp32"),
        ({**LEAST, "layers": {}}, '"layers" is no table'),
        ({**LEAST, "layers": {"blocks.0.ffn.0": "nvfp4"}}, 'it stores blocks.0.ffn.0 as "nvfp4", where one of fp8-channel, '),
        ({**LEAST, "layers": {"a": ["float"]}}, 'it stores a as ["float"]'),
        ({**LEAST, "made_for": {"source": "x"}}, '"made_for" does not say source, layers and weights'),
        ('{"lightquant_recipe": 1, "component": "dit", "layers": {"a": "float", "a": "int4-g128"}}', "a stands in it twice"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_named(tmp_path, content, said):
    path = stored(tmp_path, content)
    with pytest.raises(ConvertError) as caught:
        read(path)
    assert said in str(caught.value)
    assert path in str(caught.value)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(ConvertError, match="No such file"):
        read(str(tmp_path / "nowhere.json"))


def test_a_taken_name_and_a_full_disk_leave_what_was_there(tmp_path, monkeypatch):
    path, recipe = stored(tmp_path, LEAST), Recipe("dit", {"*": "float"})
    with pytest.raises(ConvertError, match="is there already"):
        write(recipe, path)
    with pytest.raises(ConvertError, match="its folder is not there"):
        write(recipe, str(tmp_path / "no" / "recipe.json"))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(ConvertError, match=r"No space left on device. What was there before is untouched"):
        write(recipe, path, force=True)
    assert read(path).layers == LEAST["layers"]
    assert os.listdir(tmp_path) == ["recipe.json"]


def test_the_first_entry_that_fits_decides():
    recipe = Recipe("dit", MIXED)
    expected = {
        "blocks.0.self_attn.q": None, "blocks.0.self_attn.k": "fp8-channel", "blocks.1.self_attn.q": "int8-channel", "blocks.0.ffn.0": "int4-g128",
        "blocks.1.cross_attn.o": "fp8-b128",
    }  # fmt: skip
    assert {layer: recipe.format_of(layer) for layer in expected} == expected
    assert Recipe("dit", {"blocks.1.*": "fp8-channel"}).format_of("blocks.0.ffn.0") is None


def test_a_conversion_stores_every_layer_as_the_recipe_says(source, tmp_path, floats):
    convert(source, tmp_path / "out.safetensors", settings())
    written = load_file(tmp_path / "out.safetensors")
    expected = small_models.mixed(floats["dit"], "dit", lambda key: settings().format_of(key.removesuffix(".weight")))
    assert written.keys() - {key for key in written if key.endswith("_workspace")} == expected.keys()
    found = set()
    for key, tensor in expected.items():
        if tensor.dtype is FORMATS["int4-g128"].dtype:
            tensor, scale = INT4_MARLIN.from_plain(QuantizedWeight(tensor, expected[key + "_scale"]))
            assert torch.equal(written[key + "_scale"], scale)
        if not key.endswith("_scale"):
            assert torch.equal(written[key].view(torch.uint8), tensor.contiguous().view(torch.uint8)), key
        if f"{key}_scale" in written:
            found.add(stored_as(QuantizedWeight(written[key], written[key + "_scale"])).name)
    assert found == set(FORMATS)
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert json.loads(file.metadata()["lightquant"])["format"] == "fp8-channel + int8-channel + fp8-b128 + int4-g128"


@pytest.mark.parametrize("layout", ["single", "split", "chunked"])
def test_the_size_is_known_before_to_the_byte(source, tmp_path, layout):
    chosen = Settings(None, layout=layout, recipe=Recipe("dit", MIXED))
    opened = Source(str(source))
    plan = plan_of(str(source), opened.headers, chosen, "out")
    target = tmp_path / ("out.safetensors" if layout == "single" else "out")
    run(opened, plan, str(target))
    files = [target] if layout == "single" else list(target.iterdir())
    assert sum(file.stat().st_size for file in files) == size_of(opened, plan)


def test_names_are_wans_own_whatever_the_source_has(tmp_path, floats):
    from lightquant.convert.names import to_diffusers

    opened = Source(str(small_models.save({to_diffusers(key): tensor for key, tensor in floats["dit"].items()}, tmp_path / "diffusers.safetensors")))
    plan = plan_of("x", {key: opened.headers[key] for key in opened.headers}, settings(), "x", to_original_keys)
    assert {output.key: output.format.name for output in plan.outputs if output.format}["blocks.0.ffn.2.weight"] == "int4-g128"
    kept = plan_of("x", opened.headers, settings(), "x", to_original_keys)
    assert not next(output for output in kept.outputs if output.key == "blocks.0.self_attn.q.weight").format


def to_original_keys(key: str) -> str:
    from lightquant.convert.names import to_original

    return to_original(key)


def test_keep_goes_before_the_recipe(source):
    opened = Source(str(source))
    chosen = Settings(None, keep=("*.ffn.*",), recipe=Recipe("dit", MIXED))
    plan = plan_of("x", opened.headers, chosen, "x")
    assert not [output.key for output in plan.outputs if output.format and ".ffn." in output.key]
    assert plan.format == "fp8-channel + int8-channel + fp8-b128"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": {"blocks.7.ffn.0": "float", "*": "int8-channel"}}, r"1 entries of the recipe mixed.json fit no layer of .* blocks.7.ffn.0. Its"),
        ({"layers": {"head.head": "int8-channel"}}, "fit no layer of .* that can be quantized: head.head"),
        ({"component": "t5"}, "is for a umt5 text encoder, and .* is a Wan DiT"),
        ({"made_for": MadeFor("other.safetensors", 400, 10)}, r"was made for other.safetensors, with 10 weights in 400 .* has 1572864 in 20"),
    ],
)  # fmt: skip
def test_a_recipe_of_another_model_is_refused(source, options, said):
    opened = Source(str(source))
    with pytest.raises(ConvertError, match=said):
        plan_of(str(source), opened.headers, settings(**options), "x")


def test_for_comfyui_every_layer_must_be_expressible_there(source, tmp_path, floats):
    opened = Source(str(source))
    chosen = Settings(None, reader="comfyui", recipe=Recipe("dit", {"blocks.0.ffn.0": "float", **MIXED}))
    with pytest.raises(
        ConvertError, match=r"nothing like fp8-b128, which the recipe asks for blocks.0.cross_attn.k, so for comfyui it can't be written"
    ):
        plan_of("x", opened.headers, chosen, "x")
    two = Recipe("dit", {"*.ffn.*": "fp8-channel", "blocks.0.*": "int8-channel"})
    convert(source, tmp_path / "out.safetensors", Settings(None, reader="comfyui", recipe=two))
    written = load_file(tmp_path / "out.safetensors")
    tags = {key.removesuffix(".comfy_quant"): json.loads(bytes(tensor.tolist()))["format"] for key, tensor in written.items() if "comfy" in key}
    assert tags["blocks.1.ffn.0"] == "float8_e4m3fn"
    assert tags["blocks.0.self_attn.q"] == "int8_tensorwise"
    assert "blocks.1.self_attn.q" not in tags
    with pytest.raises(ConvertError, match="one scale a tensor, which scale mse"):
        plan_of("x", opened.headers, Settings(None, reader="comfyui", scaling="mse", recipe=two), "x")
