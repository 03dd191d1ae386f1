"""The report on weights: its figures by an independent recomputation, for every format, component and form of storage."""

import json
from pathlib import Path

import numpy as np
import pytest
import small_models
import torch
from lightquant.convert.names import to_diffusers
from lightquant.errors import CheckpointError, LightQuantError, ReportError
from lightquant.formats import FORMATS
from lightquant.loaders import clip_keys, random_weights, t5_keys
from lightquant.reports.error_report import layer_reader
from lightquant.reports.error_report.compare import compare
from lightquant.reports.error_report.report import ErrorReport, to_json
from lightquant.reports.error_report.text import to_text
from safetensors.torch import save_file

CPU = torch.device("cpu")
LAYER = "blocks.1.cross_attn.k"


def report(*paths: Path, against: Path, **options) -> ErrorReport:
    return compare([str(path) for path in paths], str(against), CPU, **options)


def as_json(found: ErrorReport) -> dict:
    """The report's JSON, read strictly."""

    def refuse(constant: str):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(to_json(found), parse_constant=refuse)


def recomputed(floats: torch.Tensor, codes: torch.Tensor, scale: torch.Tensor) -> tuple[float, float]:
    """Relative error and SQNR by numpy in fp64, for one scale a row."""
    expected, found = floats.double().numpy(), codes.double().numpy() * scale.double().numpy()
    noise, signal = ((found - expected) ** 2).sum(), (expected**2).sum()
    return float(np.sqrt(noise / signal)), float(10 * np.log10(signal / noise))


@pytest.fixture
def quantized(floats) -> dict[str, torch.Tensor]:
    return small_models.quantized(floats["dit"], "dit", "int8-channel")


@pytest.fixture
def source(tmp_path, floats) -> Path:
    return small_models.save(floats["dit"], tmp_path / "float.safetensors")


@pytest.mark.parametrize("format_name", ["int8-channel", "fp8-channel"])
def test_figures_are_those_of_a_plain_recomputation(tmp_path, floats, source, format_name):
    tensors = small_models.quantized(floats["dit"], "dit", format_name)
    (side,) = as_json(report(small_models.save(tensors, tmp_path / "q.safetensors"), against=source))["sides"]
    assert side["formats"] == [format_name]
    assert len(side["layers"]) == 20
    error = norm = 0
    for layer in side["layers"]:
        weight, codes, scale = floats["dit"][layer["name"] + ".weight"], *(tensors[layer["name"] + end] for end in (".weight", ".weight_scale"))
        relative, sqnr = recomputed(weight, codes.float(), scale)
        assert layer["relative_error"] == pytest.approx(relative, rel=1e-5)
        assert layer["sqnr_db"] == pytest.approx(sqnr, abs=1e-4)
        assert layer["bytes"] == codes.nbytes + scale.nbytes
        assert layer["bytes_saved"] == 2 * weight.numel() - layer["bytes"]
        assert layer["error_per_byte_saved"] == pytest.approx(relative**2 * weight.numel() / layer["bytes_saved"], rel=1e-4)
        error, norm = error + (relative * float(weight.double().norm())) ** 2, norm + float(weight.double().square().sum())
    assert side["total"]["relative_error"] == pytest.approx((error / norm) ** 0.5, rel=1e-5)
    assert side["total"]["layers"] == 20


@pytest.mark.parametrize("format_name", list(FORMATS))
@pytest.mark.parametrize("component", ["dit", "t5", "clip"])
def test_every_format_of_every_component(tmp_path, floats, component, format_name):
    source = small_models.save(floats[component], tmp_path / "float.pth")
    found = report(small_models.save(small_models.quantized(floats[component], component, format_name), tmp_path / "q.pth"), against=source)
    (side,) = found.sides
    layers = {"dit": 20, "t5": 14, "clip": 18}[component]  # of clip's four a block, q, k and v are fused in the file
    assert (len(side.layers), side.formats) == (layers, (format_name,))
    assert all(0.001 < layer.relative_error < 0.35 for layer in side.layers)


def test_totals_are_of_the_layers_they_name(tmp_path, quantized, source):
    (side,) = as_json(report(small_models.save(quantized, tmp_path / "q.safetensors"), against=source))["sides"]
    assert [total["name"] for total in side["by_block"]] == ["blocks.0", "blocks.1"]
    assert {total["name"] for total in side["by_kind"]} == {layer["name"].split(".", 2)[2] for layer in side["layers"]}
    for total in side["by_kind"]:
        layers = [layer for layer in side["layers"] if layer["name"].endswith(f".{total['name']}")]
        error, norm = (sum(layer[field] for layer in layers) for field in ("squared_error", "squared_norm"))
        assert (total["layers"], total["bytes"]) == (2, sum(layer["bytes"] for layer in layers))
        assert total["relative_error"] == pytest.approx((error / norm) ** 0.5)


def renamed(tensors: dict, rename) -> dict:
    return {rename(key): tensor for key, tensor in tensors.items()}


FORMS = {
    "split": lambda tensors, folder: small_models.save_split(tensors, folder / "split"),
    "chunked": lambda tensors, folder: small_models.save_chunked(tensors, folder / "chunked", size=30),
    "pth": lambda tensors, folder: small_models.save(tensors, folder / "o.pth"),
    "prefix": lambda tensors, folder: small_models.save(renamed(tensors, "model.diffusion_model.{}".format), folder / "o.safetensors"),
    "short prefix": lambda tensors, folder: small_models.save(renamed(tensors, "diffusion_model.{}".format), folder / "o.safetensors"),
    "diffusers": lambda tensors, folder: small_models.save(renamed(tensors, to_diffusers), folder / "o.safetensors"),
}
"""How a file may lie or be named -> what writes it, given the tensors and a folder."""


@pytest.mark.parametrize("form", list(FORMS))
def test_forms_and_names_change_no_figure(tmp_path, floats, quantized, source, form):
    plain = report(small_models.save(quantized, tmp_path / "q.safetensors"), against=source)
    layers = {layer.layer: layer for layer in plain.sides[0].layers}
    other = FORMS[form]
    for found in (report(tmp_path / "q.safetensors", against=other(floats["dit"], tmp_path)), report(other(quantized, tmp_path), against=source)):
        assert {layer.layer: layer for layer in found.sides[0].layers} == layers


@pytest.mark.parametrize(("component", "rename"), [("t5", t5_keys.rename), ("clip", clip_keys.rename)])
def test_encoders_in_wans_names_against_comfyuis(tmp_path, floats, component, rename):
    path = small_models.save(small_models.quantized(floats[component], component, "int8-channel"), tmp_path / "q.pth")
    own = report(path, against=small_models.save(floats[component], tmp_path / "float.pth"))
    renamed = report(path, against=small_models.save(rename(floats[component]), tmp_path / "float.safetensors"))
    assert own.sides == renamed.sides


def test_one_scale_a_tensor_is_measured_as_it_is(tmp_path, floats, source):
    for name, tensors in {
        "old": small_models.comfyui_mode(floats["dit"], "dit"),
        "core": small_models.core_tagged(floats["dit"], "dit", "fp8-channel"),
    }.items():
        (side,) = report(small_models.save(tensors, tmp_path / f"{name}.safetensors"), against=source).sides
        layer = next(layer for layer in side.layers if layer.layer == LAYER)
        scale = tensors[LAYER + (".scale_weight" if name == "old" else ".weight_scale")]
        relative, _ = recomputed(floats["dit"][LAYER + ".weight"], tensors[LAYER + ".weight"].float(), scale)
        assert layer.relative_error == pytest.approx(relative, rel=1e-5)
        assert layer.stored_bytes == tensors[LAYER + ".weight"].nbytes + 4


def test_reversed_scales_are_the_worst_layer(tmp_path, quantized, source):
    key = LAYER + ".weight_scale"
    quantized[key] = quantized[key].flip(0)
    found = as_json(report(small_models.save(quantized, tmp_path / "q.safetensors"), against=source))["sides"][0]
    assert found["worst"][0] == LAYER
    assert len(found["worst"]) == 10
    errors = {layer["name"]: layer["relative_error"] for layer in found["layers"]}
    assert [errors[name] for name in found["worst"]] == sorted(errors.values(), reverse=True)[:10]
    assert errors[LAYER] > 10 * errors[found["worst"][1]]


def test_dead_and_saturated_channels_are_counted_where_they_are(tmp_path, quantized, source):
    quantized[LAYER + ".weight"][[3, 7]] = 0
    quantized["blocks.0.ffn.0.weight"][5, :64] = 127
    (side,) = as_json(report(small_models.save(quantized, tmp_path / "q.safetensors"), against=source))["sides"]
    assert {layer["name"]: layer["dead_channels"] for layer in side["layers"] if layer["dead_channels"]} == {LAYER: 2}
    assert {layer["name"]: layer["saturated_channels"] for layer in side["layers"] if layer["saturated_channels"]} == {"blocks.0.ffn.0": 1}
    assert (side["total"]["dead_channels"], side["total"]["saturated_channels"]) == (2, 1)


def test_two_beside_each_other_are_the_two_alone(tmp_path, floats, quantized, source):
    one = small_models.save(quantized, tmp_path / "a.safetensors")
    two = small_models.save_split(small_models.quantized(floats["dit"], "dit", "int4-g128"), tmp_path / "b_split")
    both = report(one, two, against=source)
    assert both.sides == (*report(one, against=source).sides, *report(two, against=source).sides)
    assert "A: a.safetensors" in to_text(both)
    assert "B: b_split" in to_text(both)
    against_quantized = report(two, against=one)
    assert against_quantized.reference_format == "int8-channel"
    assert "which is int8-channel itself" in to_text(against_quantized)
    alone = report(one, against=one)
    assert {layer.relative_error for layer in alone.sides[0].layers} == {0.0}
    assert {layer["sqnr_db"] for layer in as_json(alone)["sides"][0]["layers"]} == {None}


def test_layers_that_only_one_side_quantizes_are_said(tmp_path, floats, quantized, source):
    mixed = {key: tensor for key, tensor in quantized.items() if key != LAYER + ".weight_scale"} | {
        LAYER + ".weight": floats["dit"][LAYER + ".weight"]
    }
    found = report(small_models.save(quantized, tmp_path / "a.safetensors"), small_models.save(mixed, tmp_path / "b.safetensors"), against=source)
    assert [len(side.layers) for side in found.sides] == [20, 19]
    assert found.notes == ("Layers that are quantized in A and float in B: 1; in B and float in A: 0.",)


def test_a_mixed_file_has_each_layers_own_format(tmp_path, floats, quantized, source):
    other = small_models.quantized(floats["dit"], "dit", "int4-g128")
    mixed = quantized | {key: each for key, each in other.items() if ".ffn." in key}
    found = report(small_models.save(mixed, tmp_path / "mixed.safetensors"), against=source).sides[0]
    assert found.formats == ("int8-channel", "int4-g128")
    assert {layer.layer.rpartition(".ffn.")[2] for layer in found.layers if layer.format == "int4-g128"} == {"0", "2"}


def test_random_weights_are_known_by_the_mark_and_by_nothing_else(tmp_path, quantized, source):
    marked = report(small_models.save(quantized, tmp_path / "q.safetensors"), against=source)
    assert marked.random
    assert "The weights are random" in to_text(marked)
    for path, tensors in {"q.safetensors": quantized, "float.safetensors": small_models.dit()}.items():
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / path)
    unmarked = report(tmp_path / "q.safetensors", against=tmp_path / "float.safetensors")
    assert not unmarked.random
    assert as_json(unmarked)["random_weights"] is False
    assert "random" not in to_text(unmarked)
    assert report(tmp_path / "q.safetensors", against=tmp_path / "float.safetensors", random=True).random
    assert random_weights.KEY == "lightquant.random_weights"


def test_each_layer_is_read_once_and_progress_ends_at_the_end(tmp_path, quantized, source, monkeypatch):
    reads, seen = [], []
    read = layer_reader.RowReader.tensor
    monkeypatch.setattr(layer_reader.RowReader, "tensor", lambda self, key, header: reads.append((header.file, key)) or read(self, key, header))
    report(small_models.save(quantized, tmp_path / "q.safetensors"), against=source, progress=lambda *figures: seen.append(figures))
    assert len(reads) == len(set(reads)) == 20 * 3
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert (
        seen[-1][0]
        == seen[-1][1]
        == sum(quantized[name[1]].nbytes for name in reads if "q.safe" in name[0])
        + sum(4 * quantized[name[1]].numel() for name in reads if "float" in name[0])
    )


def broken(floats, quantized) -> dict:
    """What is wrong -> the tensors of the quantized file, of the reference, and what the error says."""
    other, short = small_models.dit(width=128), {key: each for key, each in quantized.items() if not key.startswith("blocks.1.")}
    return {
        "not quantized": (floats["dit"], floats["dit"], "none of its weights has a scale"),
        "another component": (quantized, floats["t5"], "is a dit and"),
        "another size": (quantized, other, "Take two checkpoints of one model"),
        "no model": ({"a.weight": torch.ones(2, 2)}, floats["dit"], "no model that LightQuant knows"),
        "a block is absent": (short, floats["dit"], "lacks 10 of the weights"),
        "of LightCompress": (small_models.light_compress(floats["dit"], "int8-channel"), floats["dit"], "divided by factors"),
        "NaN": (quantized, {**floats["dit"], LAYER + ".weight": torch.full((256, 256), float("nan"))}, "holds NaN"),
        "a scale of NaN": ({**quantized, LAYER + ".weight_scale": torch.full((256, 1), float("nan"))}, floats["dit"], "its scale holds NaN"),
        "a scale of another shape": ({**quantized, LAYER + ".weight_scale": torch.ones(7, 1)}, floats["dit"], f"{LAYER} is damaged"),
        "nvfp4": ({**quantized, LAYER + ".weight_scale_2": torch.ones(1)}, floats["dit"], "nvfp4"),
    }  # fmt: skip


@pytest.mark.parametrize("what", ["not quantized", "another component", "another size", "no model", "a block is absent", "of LightCompress", "NaN",
                                  "a scale of NaN", "a scale of another shape", "nvfp4"])  # fmt: skip
def test_what_cant_be_compared_is_refused_with_the_reason(tmp_path, floats, quantized, what):
    tensors, reference, said = broken(floats, quantized)[what]
    paths = small_models.save(tensors, tmp_path / "q.safetensors"), small_models.save(reference, tmp_path / "float.pth")
    with pytest.raises(LightQuantError, match=said) as caught:
        report(paths[0], against=paths[1])
    assert isinstance(caught.value, ReportError | CheckpointError)
