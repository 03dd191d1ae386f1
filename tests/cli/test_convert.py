import os

import pytest
import small_models
import torch
from lightquant.cli import main
from lightquant.convert import plan
from lightquant.convert.names import to_diffusers
from safetensors.torch import load_file, save_file


@pytest.fixture
def source(tmp_path, floats):
    return small_models.save(floats["dit"], tmp_path / "float.safetensors")


def convert(source, target, *options: str) -> int:
    return main(["convert", str(source), str(target), "--format", "int8-channel", *options])


def test_it_converts_and_says_what_it_wrote(source, tmp_path, floats, capsys):
    assert convert(source, tmp_path / "out.safetensors", "--dtype", "fp32") == 0
    out = capsys.readouterr().out
    assert f"dit, 8.0 MiB ({os.path.getsize(tmp_path / 'out.safetensors')} bytes) in 1 file(s), for lightx2v" in out
    assert "20 of 69 tensors are quantized, scales by absmax" in out
    assert f"wrote {tmp_path / 'out.safetensors'}" in out
    written, expected = load_file(tmp_path / "out.safetensors"), small_models.quantized(floats["dit"], "dit", "int8-channel")
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[key], expected[key]) for key in expected)


def test_a_dry_run_says_the_same_and_writes_nothing(source, tmp_path, capsys):
    assert convert(source, tmp_path / "out.safetensors", "--dry-run") == 0
    assert "20 of 69 tensors" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == ["float.safetensors"]


def test_a_folder_and_a_taken_name(source, tmp_path, capsys):
    assert convert(source, tmp_path / "wan_split", "--layout", "split") == 0
    assert (tmp_path / "wan_split" / "block_1.safetensors").exists()
    assert convert(source, tmp_path / "wan_split", "--layout", "split") == 1
    assert "is there already. Choose another name; lightquant convert --force would replace it." in capsys.readouterr().err
    assert convert(source, tmp_path / "wan_split", "--layout", "split", "--force") == 0


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("out.bin", (), "a file ending in .safetensors or .pth is needed"),
        ("out.safetensors", ("--for", "comfyui", "--format", "int4-g128"), "ComfyUI itself has nothing like int4-g128"),
        ("out.safetensors", ("--for", "comfyui", "--format", "fp8-channel", "--scale", "mse"), "one scale a tensor"),
        ("out.safetensors", ("--lora", "nowhere.safetensors"), "there is no such file"),
        ("out.safetensors", ("--lora", "x.safetensors:much"), "PATH[:strength[:alpha]] is needed"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(source, tmp_path, capsys, target, options, said):
    assert convert(source, tmp_path / target, *options) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / target).exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("command", ["convert", "plan"])
def test_a_gpu_that_is_not_here_is_said_first(source, tmp_path, capsys, command):
    rest = [str(tmp_path / "out.safetensors"), "--format", "int8-channel"] if command == "convert" else ["--budget", "60%"]
    assert main([command, str(source), *rest, "--device", "cuda"]) == 1
    said = capsys.readouterr()
    assert "there is no device cuda here" in said.err
    assert said.out == ""


def test_the_parts_of_a_folder_with_a_dot_in_its_name_have_all_of_it(source, tmp_path):
    assert convert(source, tmp_path / "Wan2.1-I2V-14B", "--layout", "chunked") == 0
    assert sorted(file.name for file in (tmp_path / "Wan2.1-I2V-14B").glob("*.safetensors")) == ["Wan2.1-I2V-14B_part0.safetensors"]


def test_a_file_of_chunks_has_a_hundred_tensors_at_most(source, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "CHUNK", 10)
    assert convert(source, tmp_path / "parts", "--layout", "chunked", "--format", "int4-g128") == 0
    counts = [len(load_file(file)) for file in (tmp_path / "parts").glob("*.safetensors")]
    assert max(counts) == 10
    assert sum(counts) == 69 + 2 * 20


def test_a_source_that_is_not_there(tmp_path, capsys):
    assert convert(tmp_path / "nowhere.safetensors", tmp_path / "out.safetensors") == 1
    assert "there is no such file" in capsys.readouterr().err


def test_loras_are_merged_before_quantizing_and_must_fit(source, tmp_path, floats, capsys):
    key, draw = "blocks.0.ffn.0", small_models.Weights(9)
    up, down = draw.normal(512, 4), draw.normal(4, 256)
    save_file({f"diffusion_model.{key}.lora_up.weight": up, f"diffusion_model.{key}.lora_down.weight": down}, tmp_path / "lora.safetensors")
    assert convert(source, tmp_path / "out.safetensors", "--lora", f"{tmp_path / 'lora.safetensors'}:0.5", "--dtype", "fp32") == 0
    merged = dict(floats["dit"])
    merged[key + ".weight"] = merged[key + ".weight"] + 0.5 * (up @ down)
    expected, written = small_models.quantized(merged, "dit", "int8-channel"), load_file(tmp_path / "out.safetensors")
    torch.testing.assert_close(written[key + ".weight_scale"], expected[key + ".weight_scale"], rtol=1e-6, atol=0)
    assert (written[key + ".weight"] != expected[key + ".weight"]).float().mean() < 1e-3
    far = {f"diffusion_model.blocks.9.ffn.0.lora_{side}.weight": tensor for side, tensor in (("up", up), ("down", down))}
    near = {f"diffusion_model.{key}.lora_{side}.weight": tensor.clone() for side, tensor in (("up", up), ("down", down))}
    save_file({**far, **near}, tmp_path / "far.safetensors")
    assert convert(source, tmp_path / "two.safetensors", "--lora", str(tmp_path / "far.safetensors")) == 1
    assert "2 tensors of the LoRA" in capsys.readouterr().err
    assert convert(source, tmp_path / "two.safetensors", "--lora", str(tmp_path / "far.safetensors"), "--allow-unmatched") == 0


def test_a_lora_for_another_model_is_refused_before_anything_is_written(source, tmp_path, capsys):
    names = ("lora_up", "lora_down")
    save_file({f"diffusion_model.blocks.0.ffn.0.{name}.weight": torch.ones(7, 7) for name in names}, tmp_path / "lora.safetensors")
    assert convert(source, tmp_path / "out.safetensors", "--lora", str(tmp_path / "lora.safetensors"), "--allow-unmatched") == 1
    assert "is for another model" in capsys.readouterr().err


def test_a_lora_that_is_asked_for_twice_is_not_merged_once(source, tmp_path, capsys):
    twice = ("--lora", "lora.safetensors:0.5") * 2
    assert convert(source, tmp_path / "out.safetensors", *twice) == 1
    assert "The LoRA lora.safetensors:0.5 is asked for twice. Name it once, with both strengths together." in capsys.readouterr().err


def test_a_pattern_of_what_stays_float_may_leave_weight_away_and_must_fit(source, tmp_path, capsys):
    assert convert(source, tmp_path / "out.safetensors", "--keep", "blocks.0.ffn.0", "--keep", "blocks.1.*.weight") == 0
    assert "9 of 69 tensors are quantized" in capsys.readouterr().out
    assert load_file(tmp_path / "out.safetensors")["blocks.0.ffn.0.weight"].dtype is torch.bfloat16
    for command in ("convert", "plan"):
        rest = [str(tmp_path / "two.safetensors"), "--format", "int8-channel"] if command == "convert" else ["--budget", "60%"]
        assert main([command, str(source), *rest, "--keep", "blok.*", "--keep", "blocks.1.*"]) == 1
        error = capsys.readouterr().err
        assert f"1 of the patterns of what stays float fit no tensor of {source}: blok.*. Its tensors have names such as " in error


@pytest.mark.parametrize("command", ["convert", "plan"])
def test_a_model_in_diffusers_names_is_renamed_whole_or_not_at_all(tmp_path, floats, capsys, command):
    foreign = {to_diffusers(key): tensor for key, tensor in floats["dit"].items()}
    source = small_models.save({**foreign, "face_adapter.0.to_q.weight": torch.ones(2, 2)}, tmp_path / "diffusers.safetensors")
    options = [str(tmp_path / "out.safetensors"), "--format", "int8-channel"] if command == "convert" else ["--budget", "90%"]
    assert main([command, str(source), *options]) == 1
    assert "the tensors have diffusers' names, and 1 of them have none that is known: face_adapter.0.to_q.weight. Take" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
    if command == "convert":
        assert main([command, str(source), *options, "--names", "as-they-are"]) == 0
        assert "blocks.0.attn1.to_q.weight" in load_file(tmp_path / "out.safetensors")


@pytest.mark.parametrize("component", ["t5", "clip"])
def test_encoders_keep_their_names(tmp_path, floats, component):
    source = small_models.save(floats[component], tmp_path / "float.pth")
    assert convert(source, tmp_path / "out.pth", "--dtype", "fp32") == 0
    expected = small_models.quantized(floats[component], component, "int8-channel")
    assert torch.load(tmp_path / "out.pth", weights_only=True).keys() == expected.keys()


def test_what_diffusers_has_no_name_for_is_refused(tmp_path, floats, capsys):
    source = small_models.save({**floats["dit"], "face_adapter.fuser_blocks.0.weight": torch.ones(2)}, tmp_path / "odd.safetensors")
    assert convert(source, tmp_path / "out.safetensors", "--names", "diffusers") == 1
    assert "diffusers has no names for 1 of the tensors: face_adapter.fuser_blocks.0.weight" in capsys.readouterr().err


def test_names_are_wans_own_unless_asked(tmp_path, floats):
    foreign = {to_diffusers(key): tensor for key, tensor in floats["dit"].items()}
    source = small_models.save(foreign, tmp_path / "diffusers.safetensors")
    assert convert(source, tmp_path / "out.safetensors", "--dtype", "fp32") == 0
    expected, written = small_models.quantized(floats["dit"], "dit", "int8-channel"), load_file(tmp_path / "out.safetensors")
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[key], expected[key]) for key in expected)


def test_a_text_encoder_for_comfyui_has_its_names_and_carries_its_tokenizer(tmp_path, floats, spiece, capsys):
    source, target = small_models.save(floats["t5"], tmp_path / "t5.pth"), tmp_path / "out.safetensors"
    assert convert(source, target, "--for", "comfyui") == 1
    error = capsys.readouterr().err
    assert "must carry the tokenizer" in error
    assert "--tokenizer" in error
    assert not target.exists()
    (tmp_path / "umt5.model").write_bytes(spiece)
    assert convert(source, target, "--for", "comfyui", "--tokenizer", str(tmp_path / "umt5.model")) == 0
    written = load_file(target)
    assert written["spiece_model"].numpy().tobytes() == spiece
    assert written["encoder.block.0.layer.0.SelfAttention.q.weight"].dtype is torch.int8
    assert not any(key.startswith(("blocks.", "token_embedding")) for key in written)
    # A file of ComfyUI's carries it, and is a source as well as a place to take it from.
    assert convert(source, tmp_path / "again.safetensors", "--for", "comfyui", "--tokenizer", str(target)) == 0
    again = load_file(tmp_path / "again.safetensors")
    assert again.keys() == written.keys()
    assert all(torch.equal(again[key], written[key]) for key in written)


def test_another_models_tokenizer_is_refused(tmp_path, floats, capsys):
    source = small_models.save(floats["t5"], tmp_path / "t5.pth")
    (tmp_path / "spiece.model").write_bytes(b"not one")
    assert convert(source, tmp_path / "out.safetensors", "--for", "comfyui") == 1
    assert "it is no sentencepiece model" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
