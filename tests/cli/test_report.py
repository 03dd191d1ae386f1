import json

import pytest
import small_models
from lightquant.cli import main
from safetensors import safe_open


@pytest.fixture
def files(tmp_path, floats):
    """A quantized file and the float one behind it."""
    quantized = small_models.quantized(floats["dit"], "dit", "int8-channel")
    return small_models.save(quantized, tmp_path / "wan_int8.safetensors"), small_models.save(floats["dit"], tmp_path / "float.safetensors")


def report(files, *options: str) -> int:
    return main(["report", str(files[0]), "--against", str(files[1]), "--device", "cpu", *options])


def test_a_summary_on_the_screen(files, capsys):
    assert report(files) == 0
    out = capsys.readouterr().out
    assert "Error of the weights: wan_int8.safetensors" in out
    assert "against float.safetensors" in out
    assert "The weights are random" in out
    assert "self_attn.q" in out
    assert "blocks." in out.split("the worst")[1]


def test_json_and_files(files, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert report(files, "--json", "--out", str(tmp_path / "out")) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found == json.loads((tmp_path / "out" / "wan_int8_report.json").read_text())
    assert (found["version"], found["measured"], found["random_weights"]) == (1, "weights", True)
    assert "<!DOCTYPE html>" in (tmp_path / "out" / "wan_int8_report.html").read_text()
    assert f"wrote {tmp_path / 'out' / 'wan_int8_report.html'}" in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "/nowhere/x.html"), "there is no folder"),
        (("--out", "x.pdf"), "Give a name that ends in .html"),
        (("--against", "/nowhere.safetensors"), "there is no such file"),
    ],
)
def test_wrong_input_is_one_line(files, capsys, options, said):
    assert report(files, *options) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_three_are_too_many(files, capsys):
    assert main(["report", *(str(files[0]) for _ in range(3)), "--against", str(files[1])]) == 1
    assert "one or two" in capsys.readouterr().err


@pytest.mark.parametrize("format_name", ["int8-channel", "fp8-channel", "fp8-b128", "int4-g128"])
@pytest.mark.parametrize(("component", "end"), [("dit", "safetensors"), ("t5", "pth"), ("clip", "pth")])
def test_converting_reports_what_a_report_on_the_files_says(tmp_path, floats, component, end, format_name, capsys):
    source = small_models.save(floats[component], tmp_path / f"float.{end}")
    target = tmp_path / f"out.{end}"
    assert main(["convert", str(source), str(target), "--format", format_name, "--report", str(tmp_path / "one.json"), "--random"]) == 0
    assert report((target, source), "--random", "--out", str(tmp_path / "two.json")) == 0
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    layers = [{layer["name"]: layer for layer in each["sides"][0].pop("layers")} for each in (one, two)]
    assert layers[0] == layers[1]
    assert one["sides"][0]["worst"] == two["sides"][0]["worst"]
    assert one["random_weights"] is True


def test_converting_for_comfyui_into_parts_and_in_diffusers_names(tmp_path, files):
    ways = {"fp8-channel": ["--for", "comfyui"], "int8-channel": ["--layout", "split"], "int4-g128": ["--names", "diffusers"]}
    for number, (format_name, options) in enumerate(ways.items()):
        target = tmp_path / (f"out{number}" if "split" in options else f"out{number}.safetensors")
        assert main(["convert", str(files[1]), str(target), "--format", format_name, *options, "--report", str(tmp_path)]) == 0
        assert report((target, files[1]), "--out", str(tmp_path / "two.json")) == 0
        one, two = (json.loads((tmp_path / name).read_text()) for name in (f"out{number}_report.json", "two.json"))
        assert {layer["name"]: layer for layer in one["sides"][0]["layers"]} == {layer["name"]: layer for layer in two["sides"][0]["layers"]}


def test_a_lora_belongs_to_the_float_weights(tmp_path, files, capsys):
    draw, key = small_models.Weights(9), "blocks.0.ffn.0"
    up, down = draw.normal(512, 4), draw.normal(4, 256)
    lora = small_models.save({f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}, tmp_path / "lora.safetensors")
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(files[1]), str(out), "--format", "int8-channel", "--lora", str(lora), "--report", str(tmp_path / "r.json")]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["notes"] == ["The float weights are those with 1 LoRA merged."]
    assert max(layer["relative_error"] for layer in found["sides"][0]["layers"]) < 0.1


def test_a_report_that_cant_be_written_is_said_before_the_conversion(tmp_path, files, capsys):
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(files[1]), str(out), "--format", "int8-channel", "--report", str(tmp_path / "nowhere" / "r.html")]) == 1
    assert "there is no folder" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("layout", ["single", "split"])
def test_conversions_carry_the_mark_of_random_weights_on(tmp_path, files, layout):
    marked = tmp_path / ("a" if layout == "split" else "a.safetensors")
    assert main(["convert", str(files[1]), str(marked), "--format", "int8-channel", "--layout", layout]) == 0
    for path in marked.glob("*.safetensors") if layout == "split" else [marked]:
        with safe_open(path, "pt") as file:
            assert file.metadata()["lightquant.random_weights"] == "true"


def test_conversions_mark_nothing_else(tmp_path, floats):
    from safetensors.torch import save_file

    save_file(floats["dit"], tmp_path / "plain.safetensors")
    assert main(["convert", str(tmp_path / "plain.safetensors"), str(tmp_path / "b.safetensors"), "--format", "int8-channel"]) == 0
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        assert "lightquant.random_weights" not in file.metadata()
