"""The recipe for a size: that the file has the size that is promised, fits, and errs as little as any."""

import itertools
import os

import pytest
import small_models
import torch
from lightquant.convert.plan import plan_of
from lightquant.convert.recipe import FLOAT, Recipe
from lightquant.convert.run import run, size_of
from lightquant.convert.settings import Settings
from lightquant.convert.source import Source
from lightquant.convert.stored import packing_for
from lightquant.errors import ConvertError
from lightquant.formats import FORMATS
from lightquant.reports.sensitivity import RANDOM, Asked, Sensitivity
from lightquant.reports.sensitivity_text import to_text
from lightquant.reports.weight_errors import layer_error

ALL = Asked(tuple(FORMATS))


@pytest.fixture(scope="module")
def source(floats, tmp_path_factory):
    return str(small_models.save(floats["dit"], tmp_path_factory.mktemp("plan") / "float.safetensors"))


def measured(path: str, asked: Asked = ALL) -> Sensitivity:
    found = Sensitivity(Source(path), asked)
    with torch.inference_mode():
        found.measure()
    return found


@pytest.fixture(scope="module")
def sensitivity(source):
    return measured(source)


def converted(path: str, recipe: Recipe, target) -> int:
    """The size of the file that convert writes by a recipe."""
    opened = Source(path)
    chosen = Settings(None, dtype=recipe.dtype, scaling=recipe.scaling, recipe=recipe)
    run(opened, plan_of(path, opened.headers, chosen, "out"), str(target))
    return os.path.getsize(target)


@pytest.mark.parametrize("share", [0.645, 0.7, 0.76, 0.85, 0.97, 1.0, 3.0])
def test_the_file_is_as_large_as_promised_and_fits(source, sensitivity, tmp_path, share):
    budget = int(share * sensitivity.float_bytes)
    planned = sensitivity.plan(budget)
    assert planned.whole.nbytes == converted(source, planned.recipe, tmp_path / "out.safetensors") <= budget
    assert planned.whole.nbytes == planned.rest + sum(layer.stored_bytes for layer in planned.layers)
    assert {layer.layer: layer.format for layer in planned.layers} == planned.recipe.layers
    assert len(planned.layers) == 20
    assert (planned.whole.name == FLOAT) == (share >= 1)


def test_the_errors_are_those_of_the_weights(sensitivity, floats):
    planned = sensitivity.plan(int(0.75 * sensitivity.float_bytes))
    total = 0.0
    for layer in planned.layers:
        format_ = None if layer.format == FLOAT else packing_for(layer.format)
        expected = layer_error(layer.layer, floats["dit"][f"{layer.layer}.weight"], format_)
        assert layer == expected
        total += expected.squared_error / expected.squared_norm * expected.elements
    assert planned.whole.error == pytest.approx((total / sum(layer.elements for layer in planned.layers)) ** 0.5)
    assert planned.least <= planned.whole.error <= planned.least * 1.2
    assert [whole.name for whole in planned.pure] == [FLOAT, *FORMATS]


def test_the_pure_files_are_those_that_convert_writes(source, sensitivity, floats, tmp_path):
    opened = Source(source)
    for whole in sensitivity.plan(10**9).pure[1:]:
        plan = plan_of(source, opened.headers, Settings(whole.name), "out")
        assert whole.nbytes == size_of(opened, plan)
        layers = [layer_error("", floats["dit"][output.key], output.format) for output in plan.outputs if output.format]
        assert whole.error == pytest.approx((sum(each.weighted for each in layers) / sum(each.elements for each in layers)) ** 0.5)


def test_more_room_never_errs_more(sensitivity):
    least, most = 0.645, 1.0
    sizes = [int((least + (most - least) * step / 60) * sensitivity.float_bytes) for step in range(61)]
    errors = [sensitivity.plan(size).whole.error for size in sizes]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(errors))
    assert errors[-1] < errors[0] / 100


def test_of_all_recipes_that_fit_none_errs_less(tmp_path, floats):
    """Every recipe for four layers, by the sizes of the files that would be written."""
    path = str(small_models.save(floats["dit"], tmp_path / "float.safetensors"))
    names = [f"blocks.0.{layer}" for layer in ("self_attn.q", "self_attn.k", "ffn.0", "ffn.2")]
    asked = Asked(("int8-channel", "fp8-b128", "int4-g128"), keep=("blocks.1.*", "*.cross_attn.*", "*.self_attn.v.*", "*.self_attn.o.*"))
    sensitivity, opened, ways = measured(path, asked), Source(path), (FLOAT, "int8-channel", "fp8-b128", "int4-g128")
    costs = {
        (name, way): layer_error(name, floats["dit"][f"{name}.weight"], packing_for(way) if way != FLOAT else None).weighted
        for name in names for way in ways
    }  # fmt: skip
    recipes = [dict(zip(names, each, strict=True)) for each in itertools.product(ways, repeat=len(names))]
    plans = [plan_of(path, opened.headers, Settings(None, keep=asked.keep, recipe=Recipe("dit", each)), "x") for each in recipes]
    sizes, errors = [size_of(opened, plan) for plan in plans], [sum(costs[item] for item in each.items()) for each in recipes]
    for budget in sorted(sizes)[::17]:
        planned = sensitivity.plan(budget)
        assert planned.whole.nbytes <= budget
        expected = min(error for error, size in zip(errors, sizes, strict=True) if size <= budget)
        assert sum(costs[layer.layer, layer.format] for layer in planned.layers if layer.layer in names) == pytest.approx(expected)


def test_what_can_never_fit_says_the_least_that_can(source, sensitivity, tmp_path):
    with pytest.raises(ConvertError, match=r"the smallest file of .* has 4.0 MiB \((\d+) bytes\)") as caught:
        sensitivity.check(10**6)
    smallest = int(str(caught.value).split("the smallest file of")[1].split("(")[1].split(" bytes")[0])
    with pytest.raises(ConvertError):
        sensitivity.plan(smallest - 1)
    planned = sensitivity.plan(smallest)
    assert planned.whole.nbytes == smallest == converted(source, planned.recipe, tmp_path / "out.safetensors")
    assert set(planned.recipe.layers.values()) == {"int4-g128"}


def test_nothing_is_read_before_a_budget_is_checked(source, monkeypatch):
    monkeypatch.setattr(Source, "read", lambda self, key: pytest.fail("a tensor was read"))
    with pytest.raises(ConvertError):
        Sensitivity(Source(source), ALL).check(1000)


def test_formats_and_kept_layers_are_what_is_asked_for(source):
    sensitivity = measured(source, Asked(("int8-channel",), keep=("blocks.0.*",)))
    planned = sensitivity.plan(int(0.886 * sensitivity.float_bytes))
    assert {layer.format for layer in planned.layers if layer.layer.startswith("blocks.0.")} == {FLOAT}
    assert {layer.format for layer in planned.layers if layer.layer.startswith("blocks.1.")} == {"int8-channel"}


def test_layers_that_a_format_does_not_divide_are_not_given_it(tmp_path, floats):
    tensors = dict(floats["t5"])
    for name in ("blocks.0.ffn.gate.0", "blocks.0.ffn.fc1"):
        tensors[f"{name}.weight"] = tensors[f"{name}.weight"][:200]
    tensors["blocks.0.ffn.fc2.weight"] = tensors["blocks.0.ffn.fc2.weight"][:, :200]
    path = str(small_models.save(tensors, tmp_path / "t5.safetensors"))
    sensitivity = measured(path, Asked(("int4-g128",)))
    planned = sensitivity.plan(sensitivity.float_bytes * 2 // 3)
    assert planned.recipe.layers["blocks.0.ffn.fc2"] == FLOAT
    assert planned.recipe.layers["blocks.1.ffn.fc2"] == "int4-g128"
    assert planned.whole.nbytes == converted(path, planned.recipe, tmp_path / "out.safetensors")


@pytest.mark.parametrize("component", ["t5", "clip"])
def test_encoders_from_a_pth(tmp_path, floats, component):
    path = str(small_models.save(floats[component], tmp_path / "float.pth"))
    sensitivity = measured(path)
    planned = sensitivity.plan(int(0.8 * sensitivity.float_bytes))
    assert planned.whole.nbytes == converted(path, planned.recipe, tmp_path / "out.safetensors")
    assert planned.recipe.component == component
    assert not planned.recipe.note


def test_the_progress_is_of_the_bytes_that_are_read(source):
    steps = []
    Sensitivity(Source(source), ALL).measure(lambda done, total: steps.append((done, total)))
    assert len(steps) == 20
    assert steps[-1] == (1572864 * 4, 1572864 * 4)


def test_nan_is_named(tmp_path, floats):
    tensors = {key: tensor.clone() for key, tensor in floats["dit"].items()}
    tensors["blocks.1.ffn.0.weight"][3, 4] = float("nan")
    with pytest.raises(ConvertError, match=r"blocks.1.ffn.0.weight holds NaN or infinite values"):
        measured(str(small_models.save(tensors, tmp_path / "nan.safetensors")))


def test_what_a_dtype_can_not_hold_is_not_planned(tmp_path, floats):
    """int4's scales are fp16, and so may be what stays float."""
    tensors = {key: tensor.clone() for key, tensor in floats["dit"].items()}
    tensors["blocks.1.ffn.0.weight"][3, 4] = 1e6
    path = str(small_models.save(tensors, tmp_path / "large.safetensors"))
    sensitivity = measured(path, Asked(("int8-channel", "int4-g128")))
    planned = sensitivity.plan(int(0.7 * sensitivity.float_bytes))
    assert planned.recipe.layers["blocks.1.ffn.0"] != "int4-g128"
    assert "int4-g128" in planned.recipe.layers.values()
    assert planned.whole.nbytes == converted(path, planned.recipe, tmp_path / "out.safetensors")
    with pytest.raises(ConvertError, match=r"blocks.1.ffn.0.weight holds values that fp16 can't hold"):
        measured(path, Asked(("int8-channel",), dtype="fp16"))


def test_random_weights_are_labelled(tmp_path, floats):
    from lightquant.loaders.random_weights import MARK
    from safetensors.torch import save_file

    save_file(floats["dit"], tmp_path / "marked.safetensors", MARK)
    sensitivity = measured(str(tmp_path / "marked.safetensors"), Asked(("int8-channel",)))
    planned = sensitivity.plan(sensitivity.float_bytes)
    assert planned.recipe.note == RANDOM
    assert f"Note: {RANDOM}." in to_text(planned, sensitivity.float_bytes)


def test_the_text_says_what_each_format_takes(sensitivity):
    budget = int(0.75 * sensitivity.float_bytes)
    planned = sensitivity.plan(budget)
    lines = {line.split("  ")[0]: line for line in to_text(planned, budget).splitlines()}
    for name in {layer.format for layer in planned.layers}:
        assert lines[name].split()[1] == str(sum(layer.format == name for layer in planned.layers))
    assert str(planned.whole.nbytes) in lines["this recipe"]
    assert f"{planned.whole.error:.5f}" in lines["this recipe"]
    assert {f"all {name}" for name in FORMATS} <= lines.keys()
