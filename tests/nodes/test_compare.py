"""Two models run side by side: every figure against a plain recomputation, and nothing left behind, however the run ends."""

import json
from pathlib import Path

import comfy.model_management
import float_models
import nodes
import pipeline
import pytest
import torch
from lightquant.bridge.comparing import Run, compare_models
from lightquant.bridge.layouts import stored, wrap
from lightquant.errors import ReportError
from lightquant.nodes.compare import Compare
from lightquant.reports.error_report.page import to_html
from lightquant.reports.error_report.report import to_json

FILE = "wan_t2v_int8.safetensors"
LAYER = "blocks.1.cross_attn.v"
SETTINGS = {"seed": 3, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple"}


@pytest.fixture
def output(tmp_path, monkeypatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path


def inputs() -> dict:
    latent = {"samples": torch.zeros(1, 16, 2, 8, 8)}
    return {"positive": pipeline.conditioning(1), "negative": pipeline.conditioning(2), "latent": latent, **SETTINGS}


def compare(model, reference):
    return compare_models(model, reference, Run(**inputs()))


def errors_of(report) -> dict[str, float]:
    return {layer.layer: layer.relative_error for layer in report.sides[0].layers}


def set_weight(model, layer: str, **changes) -> None:
    linear = model.model.diffusion_model.get_submodule(layer)
    weight = stored(linear.weight)
    new = weight._replace(**{field: change(getattr(weight, field)) for field, change in changes.items()})
    linear.weight = torch.nn.Parameter(wrap(new, linear.weight.dtype), requires_grad=False)


def hooks_on(*models) -> int:
    modules = [module for model in models for module in model.model.modules()]
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


def test_figures_are_those_of_a_plain_recomputation(models, floats, device):
    model, reference = pipeline.load_dit(FILE, dtype="fp32"), float_models.load_dit(floats["dit"])
    report, latent, expected = compare(model, reference)
    kept: dict[str, list] = {}
    hooks = [
        model.model.diffusion_model.get_submodule(name).register_forward_hook(
            lambda _, args, output, name=name: kept.setdefault(name, []).append((args[0].double().cpu(), output.double().cpu()))
        )
        for name in errors_of(report)
    ]
    run = inputs()
    common = (*(run[name] for name in ("seed", "steps", "cfg", "sampler_name", "scheduler", "positive", "negative")), run["latent"])
    quantized = nodes.KSampler().sample(model, *common)[0]["samples"]
    for hook in hooks:
        hook.remove()
    plain = nodes.KSampler().sample(reference, *common)[0]["samples"]
    assert len(kept) == 20
    for name, found in errors_of(report).items():
        weight, bias = (floats["dit"][f"{name}.{end}"].double() for end in ("weight", "bias"))
        outputs = [(output, x @ weight.T + bias) for x, output in kept[name]]
        error, norm = sum((y - e).square().sum() for y, e in outputs), sum(e.square().sum() for _, e in outputs)
        assert found == pytest.approx(float(error / norm) ** 0.5, rel=1e-4 if device.type == "cpu" else 0.02)
        assert 0.003 < found < 0.1
    assert torch.equal(latent["samples"], quantized)
    assert torch.equal(expected["samples"], plain)
    difference = float((quantized.double() - plain.double()).norm() / plain.double().norm())
    assert report.latents.relative_error == pytest.approx(difference, rel=1e-9)
    assert report.latents.cosine == pytest.approx(float(torch.cosine_similarity(quantized.flatten().double(), plain.flatten().double(), dim=0)))
    assert 0.99 < report.latents.cosine < 1
    assert (report.measured, report.random, report.reference_format) == ("outputs", True, "float")


@pytest.mark.parametrize("what", ["scales reversed", "zeroed"])
def test_a_broken_layer_is_the_worst(models, floats, what):
    model, reference = pipeline.load_dit(FILE), float_models.load_dit(floats["dit"])
    healthy = errors_of(compare(model, reference)[0])
    set_weight(model, LAYER, **({"scale": lambda scale: scale.flip(0)} if what == "scales reversed" else {"data": torch.zeros_like}))
    found = errors_of(compare(model, reference)[0])
    assert max(found, key=found.get) == LAYER
    assert found[LAYER] > 0.5 > 10 * healthy[LAYER]
    # The others are measured on the inputs that they see, so that an error is not counted again behind the layer that made it.
    assert all(error < 2 * max(healthy.values()) for name, error in found.items() if name != LAYER)


def test_nothing_is_left_behind_and_nothing_is_changed(models, floats):
    model, reference = pipeline.load_dit(FILE), float_models.load_dit(floats["dit"])
    before = pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2))
    compare(model.clone(), reference)
    assert hooks_on(model, reference) == 0
    assert model.get_additional_models() == []
    assert torch.equal(pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2)), before)


@pytest.mark.parametrize("end", ["interrupted", "an error"])
def test_hooks_go_however_the_run_ends(models, floats, monkeypatch, end):
    model, reference = pipeline.load_dit(FILE), float_models.load_dit(floats["dit"])
    runs = []

    def stop(*_) -> None:
        runs.append(hooks_on(model))
        if end == "interrupted":
            comfy.model_management.interrupt_current_processing(True)
        else:
            raise RuntimeError("out of luck")

    model.model.diffusion_model.get_submodule("blocks.0.ffn.0").register_forward_pre_hook(stop)
    expected = comfy.model_management.InterruptProcessingException if end == "interrupted" else RuntimeError
    with pytest.raises(expected):
        compare(model, reference)
    comfy.model_management.interrupt_current_processing(False)
    assert runs[0] == 21
    assert hooks_on(model, reference) == 1


def test_weights_that_are_not_on_the_device_are_lent(models, floats, device):
    model, reference = pipeline.load_dit(FILE, dtype="fp32"), float_models.load_dit(floats["dit"])
    expected = errors_of(compare(model, reference)[0])
    if not reference.is_dynamic():
        comfy.model_management.unload_all_models()
        reference.load(device, lowvram_model_memory=1)
    assert errors_of(compare(model, reference)[0]) == pytest.approx(expected, rel=1e-6)


def test_a_lora_on_both_is_part_of_both(models, floats):
    model, reference = pipeline.load_dit(FILE, dtype="fp32"), float_models.load_dit(floats["dit"])
    plain = errors_of(compare(model, reference)[0])
    key = f"diffusion_model.{LAYER}.weight"
    change = torch.randn(256, 256, generator=torch.Generator().manual_seed(0)) * 0.05
    patched = []
    for each in (model, reference):
        patched.append(each.clone())
        patched[-1].add_patches({key: ("diff", (change,))})
    both = errors_of(compare(*patched)[0])
    one = errors_of(compare(model, patched[1])[0])
    assert both[LAYER] < 3 * plain[LAYER] < one[LAYER]
    assert errors_of(compare(model, reference)[0]) == pytest.approx(plain, rel=1e-6)


def test_another_quantized_model_and_itself_as_the_reference(models):
    model, other = pipeline.load_dit(FILE, dtype="fp32"), pipeline.load_dit("wan_t2v_fp8.safetensors", dtype="fp32")
    report, *_ = compare(model, other)
    assert (report.reference, report.reference_format) == ("wan_t2v_fp8.safetensors", "fp8-channel")
    assert all(0.005 < error < 0.2 for error in errors_of(report).values())
    report, latent, expected = compare(model, model)
    assert torch.equal(latent["samples"], expected["samples"])
    alone = errors_of(report).values()  # what rounding the activations costs, nothing where the CPU expands the weights
    assert max(alone) < 0.1


def test_models_that_cant_be_compared_are_refused_before_anything_runs(models, floats, monkeypatch):
    monkeypatch.setattr(Run, "sample", lambda *_: pytest.fail("it sampled"))
    float_model = float_models.load_dit(floats["dit"])
    with pytest.raises(ReportError, match="no quantized layer"):
        compare(float_model, float_model)
    import small_models

    with pytest.raises(ReportError, match="of another kind than the model"):
        compare(pipeline.load_dit(FILE), float_models.load_dit(small_models.dit(blocks=1)))
    with pytest.raises(ReportError, match="of another kind than the model"):
        compare(pipeline.load_dit(FILE), float_models.load_dit(small_models.dit(width=128)))


def test_a_layer_that_gives_nan_is_said(models, floats):
    model = pipeline.load_dit(FILE)
    set_weight(model, LAYER, scale=lambda scale: scale * float("nan"))
    report, *_ = compare(model, float_models.load_dit(floats["dit"]))
    assert any("layers gave NaN or infinite values: blocks." in note for note in report.notes)
    assert json.loads(to_json(report))["sides"][0]["worst"]
    assert "<svg" in to_html(report)


def test_the_node_gives_text_json_picture_page_and_latents(models, floats, output):
    model, reference = pipeline.load_dit(FILE), float_models.load_dit(floats["dit"])
    values = inputs()
    result = Compare.execute(model=model, reference=reference, latent_image=values.pop("latent"), random=False, **values)
    text, as_json, image, page, latent, reference_latent = result.args
    assert result.ui.as_dict()["text"] == (text,)
    assert "Error of the layers' outputs: wan_t2v_int8.safetensors" in text
    assert "latents after 2 steps" in text
    assert page in text
    assert Path(page) == output / "lightquant" / "wan_t2v_int8_outputs_00001_.html"
    assert "Sampled latents" in Path(page).read_text(encoding="utf-8")
    found = json.loads(as_json)
    assert (found["measured"], found["latents"]["steps"], found["latents"]["seed"]) == ("outputs", 2, 3)
    assert {layer["dead_channels"] for layer in found["sides"][0]["layers"]} == {None}
    assert image.shape[0::3] == (1, 3)
    assert latent["samples"].shape == reference_latent["samples"].shape == (1, 16, 2, 8, 8)


def test_schema():
    schema = Compare.define_schema()
    assert schema.node_id == "LightQuantCompare"
    assert schema.is_output_node
    assert [output.io_type for output in schema.outputs] == ["STRING", "STRING", "IMAGE", "STRING", "LATENT", "LATENT"]
