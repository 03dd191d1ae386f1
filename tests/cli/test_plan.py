"""`lightquant plan`, and the recipe in `lightquant convert`."""

import json
import os

import pytest
import small_models
from lightquant.cli import main
from lightquant.cli.plan import budget_of
from lightquant.errors import ConvertError

GB = 10**9


@pytest.fixture
def source(tmp_path, floats):
    return small_models.save(floats["dit"], tmp_path / "float.safetensors")


def plan(source, *options: str) -> int:
    return main(["plan", str(source), *options])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * GB), ("8 gb", 8 * GB), ("8G", 8 * GB), ("8GiB", 2**33), ("7.5G", 7_500_000_000), ("0.1GiB", 107374182), ("500M", 500_000_000),
        ("12345", 12345), ("12345b", 12345), ("3k", 3000), ("3KiB", 3072), ("1T", 10**12), ("50%", 150), ("33.3 %", 99),
    ],
)  # fmt: skip
def test_sizes(text, size):
    assert budget_of(text, 300) == size


@pytest.mark.parametrize("text", ["", "GB", "8 parsecs", "-8GB", "1e9", "8GB 2", "%", "8,5GB"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(ConvertError, match=r"where one such as 8GB, 7\.5GiB, 8000000000 or 60% is needed"):
        budget_of(text, 300)


def test_it_prints_the_figures_and_writes_the_recipe_that_convert_follows(source, tmp_path, capsys):
    recipe, target = tmp_path / "recipe.json", tmp_path / "out.safetensors"
    assert plan(source, "--budget", "75%", "--out", str(recipe), "--formats", "int8-channel,int4-g128", "--scale", "mse") == 0
    said = capsys.readouterr().out
    promised = int(next(line for line in said.splitlines() if line.startswith("this recipe")).split()[-2])
    assert "all int4-g128" in said
    assert "all fp8-channel" not in said
    written = json.loads(recipe.read_text())
    assert written["scale"] == "mse"
    assert written["made_for"] == {"source": "float.safetensors", "layers": 20, "weights": 1572864}
    assert set(written["layers"].values()) <= {"float", "int8-channel", "int4-g128"}
    assert main(["convert", str(source), str(target), "--recipe", str(recipe)]) == 0
    assert "scales by mse" in capsys.readouterr().out
    assert os.path.getsize(target) == promised
    assert main(["convert", str(source), str(target), "--recipe", str(recipe), "--scale", "absmax", "--force", "--dry-run"]) == 0
    assert "scales by absmax" in capsys.readouterr().out


def test_a_taken_name_is_refused_before_anything_is_read(source, tmp_path, capsys):
    recipe = tmp_path / "recipe.json"
    recipe.write_text("mine")
    assert plan(source, "--budget", "75%", "--out", str(recipe)) == 1
    assert "is there already" in capsys.readouterr().err
    assert recipe.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--budget", "1MB"), "the smallest file of"),
        (("--budget", "much"), "the size is given as much"),
        (("--budget", "75%", "--formats", "nvfp4"), "there is no format nvfp4"),
        (("--budget", "75%", "--formats", ","), "there is no format"),
        (("--budget", "75%", "--out", "no/such/folder/x.json"), "its folder is not there"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(source, tmp_path, capsys, options, said):
    assert plan(source, *options) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert [file.name for file in tmp_path.iterdir()] == ["float.safetensors"]


def test_a_quantized_source_is_refused(tmp_path, floats, capsys):
    path = small_models.save(small_models.quantized(floats["dit"], "dit", "int8-channel"), tmp_path / "int8.safetensors")
    assert plan(path, "--budget", "75%") == 1
    assert "it is quantized already" in capsys.readouterr().err


def test_format_and_recipe_exclude_each_other(source, tmp_path, capsys):
    for options in (("--format", "int8-channel", "--recipe", "x.json"), ()):
        with pytest.raises(SystemExit):
            main(["convert", str(source), str(tmp_path / "out.safetensors"), *options])
        assert "--recipe" in capsys.readouterr().err


def test_a_recipe_for_comfyui_names_the_first_layer_that_it_can_not_have(source, tmp_path, capsys):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"lightquant_recipe": 1, "component": "dit", "layers": {"*.ffn.2": "int4-g128", "*": "int8-channel"}}))
    assert main(["convert", str(source), str(tmp_path / "out.safetensors"), "--recipe", str(recipe), "--for", "comfyui"]) == 1
    assert "nothing like int4-g128, which the recipe asks for blocks.0.ffn.2" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
