"""What the headers alone tell, and that nothing but headers is read."""

import builtins
import io
import json
import shutil

import pytest
import small_models
import sparse_files
import torch
import wan_variants
from lightquant.errors import CheckpointError
from lightquant.reports import layers
from lightquant.reports.inspect import inspect, to_json
from lightquant.reports.picture import draw
from lightquant.reports.text import to_text

CPU = torch.device("cpu")


def saved(tensors, path):
    return str(small_models.save(tensors, path))


@pytest.fixture
def reads(monkeypatch):
    """Where the reads of each opened file ended, by path."""
    ends: dict[str, list[int]] = {}

    class Watched(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            ends.setdefault(self.name, []).append(self.tell())
            return count

        def readall(self):
            raise AssertionError(f"{self.name} is read to its end")

    real = builtins.open

    def watching(path, mode="r", *args, **more):
        return io.BufferedReader(Watched(path)) if mode == "rb" and str(path).endswith(".safetensors") else real(path, mode, *args, **more)

    monkeypatch.setattr(builtins, "open", watching)
    return ends


def test_a_16_gb_file_is_told_from_its_header(tmp_path, reads):
    path = tmp_path / "wan_i2v_14b_fp8.safetensors"
    header_ends = sparse_files.write(sparse_files.wan(5120, 13824, 40, 36, image=True), path)
    report = inspect(str(path), CPU)
    assert report.bytes > 16e9
    assert path.stat().st_blocks * 512 < 1e6
    assert report.family.name == "Wan2.1 I2V 14B"
    assert (report.component, report.format, report.data) == ("dit", "fp8-channel", None)
    assert 16.1e9 < report.parameters < 16.5e9
    assert report.kinds[layers.QUANTIZED] > 0.95 * report.bytes
    assert max(reads[str(path)]) <= header_ends + io.DEFAULT_BUFFER_SIZE
    assert len([layer for layer in report.layers if layer.precision == "fp8 e4m3, one scale a row"]) == 480
    path.unlink()


@pytest.mark.parametrize("kind", ["one file", "split by block", "chunked"])
def test_every_form_of_storage_says_the_same(tmp_path, floats, kind):
    tensors = small_models.quantized(floats["dit"], "dit", "int8-channel")
    save = {"split by block": small_models.save_split, "chunked": small_models.save_chunked}.get(kind)
    path = save(tensors, tmp_path / "model") if save else small_models.save(tensors, tmp_path / "model.safetensors")
    report = inspect(str(path), CPU, data=True)
    assert report.kind == kind
    assert (report.family.name, report.family.blocks, report.family.width) == ("Wan2.1 T2V", 2, 256)
    assert sum(report.kinds.values()) == sum(sum(block.bytes.values()) for block in report.blocks) == report.data.bytes
    assert sum(size for _, size in report.precisions.values()) == sum(report.kinds.values())
    assert report.parameters == sum(tensor.numel() for tensor in floats["dit"].values())
    assert report.data.findings == ()
    assert [block.name for block in report.blocks] == ["blocks.0", "blocks.1", layers.OUTSIDE]


def test_schemes_of_the_format_come_first_and_say_why_not(tmp_path, floats):
    report = inspect(saved(small_models.quantized(floats["dit"], "dit", "int8-channel"), tmp_path / "m.safetensors"), CPU)
    fits = [row.scheme for row in report.schemes if row.fits]
    assert fits == [row.scheme for row in report.schemes[: len(fits)]]
    by_name = {row.scheme: row for row in report.schemes}
    assert by_name["int8-torch"].runs
    assert not by_name["int8-vllm"].runs
    assert by_name["fp8-vllm"].why == "reads fp8-channel"
    assert report.auto["int8-channel"].startswith("int8-torch: ")


def test_mixed_precision_is_told_by_layer_and_block(tmp_path, floats):
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    tensors["blocks.1.ffn.0.weight"] = floats["dit"]["blocks.1.ffn.0.weight"].bfloat16()
    del tensors["blocks.1.ffn.0.weight_scale"]
    report = inspect(saved(tensors, tmp_path / "m.safetensors"), CPU)
    precisions = {layer.name: layer.precision for layer in report.layers}
    assert precisions["blocks.0.ffn.0"] == "fp8 e4m3, one scale a row"
    assert precisions["blocks.1.ffn.0"] == "bf16"
    lines = [line.split() for line in to_text(report).splitlines() if "blocks.*.ffn.0" in line]
    assert [line[-2:] for line in lines] == [["blocks", "0"], ["blocks", "1"]]


def test_a_mixed_file_has_the_schemes_of_all_its_formats(tmp_path, floats):
    tensors = small_models.mixed(floats["dit"], "dit", lambda key: "fp8-channel" if "ffn" in key else "int4-g128")
    report = inspect(saved(tensors, tmp_path / "m.safetensors"), CPU, data=True)
    assert report.format == "fp8-channel + int4-g128"
    assert report.parameters == sum(tensor.numel() for tensor in floats["dit"].values())
    assert report.data.findings == ()
    assert {row.format for row in report.schemes if row.fits} == {"fp8-channel", "int4-g128"}
    assert [*report.auto] == ["fp8-channel", "int4-g128"]
    assert report.auto["int4-g128"].startswith("int4-g128-torch: ")
    text = to_text(report)
    assert "fp8-channel + int4-g128, 20 quantized layers" in text
    assert "auto takes for fp8-channel fp8-torch: " in text
    assert "auto takes for int4-g128 int4-g128-torch: " in text
    assert "its quantized layers are stored in 2 ways" in text
    assert json.loads(to_json(report))["auto"] == dict(report.auto)
    draw(report)


def test_comfyuis_files_have_one_scale_a_tensor(tmp_path, floats):
    for tensors, note in (
        (small_models.comfyui_mode(floats["dit"], "dit"), "20 of 20 quantized layers have one scale a tensor"),
        (small_models.core_tagged(floats["dit"], "dit", "fp8-channel"), "ComfyUI's tags"),
    ):
        report = inspect(saved(tensors, tmp_path / "m.safetensors"), CPU)
        assert report.format == "fp8-channel"
        assert any(note in each for each in report.notes)
        assert {layer.precision for layer in report.layers if layer.block} == {"fp8 e4m3, one scale a tensor"}
        assert report.kinds[layers.MARKS] > 0


def test_what_is_odd_is_said(tmp_path, floats):
    good = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    rounded = {key: tensor.bfloat16() if key.endswith("_scale") else tensor for key, tensor in good.items()}
    plain = {key: tensor for key, tensor in good.items() if not key.endswith("_scale")}
    orphan = {**good, "blocks.0.extra.weight_scale": torch.ones(4, 1)}
    shape = {**good, "blocks.0.ffn.0.weight_scale": torch.ones(7)}
    prefixed = {**{f"model.diffusion_model.{key}": tensor for key, tensor in good.items()}, "vae.weight": torch.ones(3)}
    short = {key: tensor for key, tensor in small_models.dit(blocks=3).items() if not key.startswith("blocks.1.")}
    for tensors, note in (
        (rounded, "the scales of 20 layers are stored in 16 bits"),
        (plain, "20 8-bit weights have no scale: a plain cast"),
        (orphan, "1 scales have no weight: blocks.0.extra.weight_scale"),
        (shape, "1 scales don't have the shape of their weight: blocks.0.ffn.0.weight_scale"),
        (prefixed, "1 more tensors lie in the file"),
        (short, "1 blocks are absent: blocks.1"),
        (small_models.light_compress(floats["dit"], "int8-channel"), "exported by LightCompress"),
    ):
        report = inspect(saved(tensors, tmp_path / "m.safetensors"), CPU)
        assert report.component == "dit"
        assert any(note in each for each in report.notes), report.notes
        assert note in to_text(report)


def test_a_file_that_is_no_component_is_described(tmp_path):
    lora = {f"diffusion_model.blocks.{block}.ffn.0.lora_A.weight": torch.ones(4, 8) for block in range(2)}
    report = inspect(saved(lora, tmp_path / "lora.safetensors"), CPU)
    assert (report.component, report.family, report.format, report.title) == (None, None, None, "a LoRA")
    assert not any(row.runs for row in report.schemes)
    nvfp4 = small_models.dit(blocks=1)
    name = "blocks.0.ffn.0"
    nvfp4 |= {f"{name}.weight": torch.zeros(512, 128, dtype=torch.uint8), f"{name}.weight_scale": torch.ones(512, 16).to(torch.float8_e4m3fn)}
    nvfp4 |= {f"{name}.weight_scale_2": torch.ones(())}
    report = inspect(saved(nvfp4, tmp_path / "nvfp4.safetensors"), CPU, data=True)
    assert (report.component, report.format, report.parameters) == ("dit", None, None)
    assert "quantized to nvfp4" in report.notes[0]
    assert {layer.name: layer.precision for layer in report.layers}[name] == "nvfp4"
    assert report.data.skipped == (f"{name}.weight",)
    empty = inspect(saved({}, tmp_path / "empty.safetensors"), CPU, data=True)
    assert empty.title == "an empty file"
    assert "an empty file" in to_text(empty)


@pytest.mark.parametrize("name", list(wan_variants.VARIANTS))
def test_every_wan_is_described_without_complaint(tmp_path, name):
    tensors = small_models.quantized(wan_variants.tensors(name), "dit", "int8-channel")
    report = inspect(saved(tensors, tmp_path / "m.safetensors"), CPU, data=True)
    assert report.notes == ()
    assert report.data.findings == ()
    draw(report)


def test_a_lora_for_some_blocks_lacks_none(tmp_path):
    lora = {f"diffusion_model.blocks.{block}.ffn.0.lora_A.weight": torch.ones(4, 8) for block in (3, 7)}
    assert inspect(saved(lora, tmp_path / "lora.safetensors"), CPU).notes == ()


def test_a_model_of_very_many_layers_is_cut_short_in_the_text_alone(tmp_path):
    tensors = {f"part{number}.weight": torch.ones(2, 2) for number in range(200)}
    report = inspect(saved(tensors, tmp_path / "m.safetensors"), CPU)
    assert len(report.layers) == 200
    assert "and 120 more, all of them in the JSON" in to_text(report)


def test_damaged_files_are_errors(tmp_path):
    path = tmp_path / "cut.safetensors"
    sparse_files.write(sparse_files.wan(256, 512, 2), path)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(CheckpointError, match="download was cut off"):
        inspect(str(path), CPU)
    with pytest.raises(CheckpointError, match="no such file"):
        inspect(str(tmp_path / "gone.safetensors"), CPU)


def test_a_short_folder_says_how_many_blocks_there_should_be(tmp_path):
    folder = tmp_path / "split"
    folder.mkdir()
    entries = sparse_files.wan(1536, 8960, 3)
    parts = {"non_block": {key: entry for key, entry in entries.items() if not key.startswith("blocks.")}}
    for block in range(3):
        parts[f"block_{block}"] = {key: entry for key, entry in entries.items() if key.startswith(f"blocks.{block}.")}
    for name, part in parts.items():
        sparse_files.write(part, folder / f"{name}.safetensors")
    assert "only 3 of its 30 blocks are in the folder" in inspect(str(folder), CPU).notes
    shutil.rmtree(folder)


def test_the_json_holds_everything(tmp_path, floats):
    tensors = small_models.quantized(floats["clip"], "clip", "fp8-channel")
    tensors["visual.transformer.0.mlp.0.weight_scale"][3] = float("nan")
    report = inspect(saved(tensors, tmp_path / "clip.pth"), CPU, data=True)
    said = json.loads(to_json(report))
    assert said["family"]["name"] == "ViT"
    assert said["format"] == "fp8-channel"
    assert len(said["layers"]) == 13
    assert said["layers"][0].keys() == {"name", "role", "block", "shape", "precision", "scale_dtype", "bytes"}
    assert said["data"]["findings"][0]["what"] == "NaN"
    assert {row["scheme"] for row in said["schemes"]} >= {"fp8-vllm", "int4-g128-marlin"}
    assert said["device"] == "cpu"
