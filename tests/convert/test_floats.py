"""What is converted: float weights of one component, and nothing else that a file holds."""

import pytest
import small_models
import torch
from lightquant.cli import main
from lightquant.convert.plan import plan_of
from lightquant.convert.settings import Settings
from lightquant.convert.source import Source
from lightquant.errors import CheckpointError, ConvertError
from lightquant.loaders.scaled import bare_name
from safetensors.torch import load_file

LAYER = "blocks.0.ffn.0.weight"


def plan(source, tensors):
    opened = Source(str(small_models.save(tensors, source)))
    return plan_of(str(source), opened.headers, Settings("fp8-channel"), "out", bare_name)


def cast(tensors, dtype):
    return {key: tensor.to(dtype) if key == LAYER else tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize(("dtype", "name"), [(torch.int8, "int8"), (torch.uint8, "uint8"), (torch.int32, "int32")])
def test_codes_without_scales_are_not_taken_for_weights(tmp_path, floats, dtype, name):
    with pytest.raises(ConvertError, match=rf"1 of its weights are no float numbers, such as {LAYER} in {name}, .* Take the float model"):
        plan(tmp_path / "cast.safetensors", cast(floats["dit"], dtype))


@pytest.mark.parametrize("mark", [".weight.absmax", ".weight.quant_state.bitsandbytes__nf4", ".SCB"])
def test_what_bitsandbytes_quantized_is_called_so(tmp_path, floats, mark):
    codes = {**cast(floats["dit"], torch.uint8), LAYER.removesuffix(".weight") + mark: torch.ones(4)}
    with pytest.raises(ConvertError, match=r"it is quantized by bitsandbytes, which is none of LightQuant's formats. Take the float model"):
        plan(tmp_path / "nf4.safetensors", codes)


def test_a_dtype_that_is_not_known_is_not_copied_as_bytes(tmp_path, floats):
    path = small_models.save({**floats["dit"], "x.bias": torch.ones(8, dtype=torch.uint8)}, tmp_path / "e8m0.safetensors")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"dtype":"U8","shape"', b'"dtype":"U9","shape"'))
    with pytest.raises(ConvertError, match=r"x.bias is stored as U9, which it does not know. Take the float model"):
        plan_of("e8m0", Source(str(path)).headers, Settings("fp8-channel"), "out")


def test_an_fp8_cast_of_a_float_model_is_still_converted(tmp_path, floats):
    assert plan(tmp_path / "fp8.safetensors", cast(floats["dit"], torch.float8_e4m3fn)).format == "fp8-channel"


def test_of_an_all_in_one_checkpoint_only_the_dit_is_written_and_that_is_said(tmp_path, floats, capsys):
    whole = {f"model.diffusion_model.{key}": tensor for key, tensor in floats["dit"].items()}
    whole |= {"vae.conv1.weight": torch.ones(3, 3), "text_encoders.umt5xxl.shared.weight": torch.ones(3, 3, dtype=torch.int8)}
    source = small_models.save(whole, tmp_path / "all.safetensors")
    assert main(["convert", str(source), str(tmp_path / "out.safetensors"), "--format", "int8-channel"]) == 0
    assert "left out, as the model does not use them: 2 tensors (" in capsys.readouterr().out
    assert {key.split(".")[0] for key in load_file(tmp_path / "out.safetensors")} == {key.split(".")[0] for key in floats["dit"]}


def test_a_tensor_of_the_model_that_lacks_the_others_prefix_is_not_dropped(tmp_path, floats):
    mixed = {key if key == LAYER else f"model.diffusion_model.{key}": tensor for key, tensor in floats["dit"].items()}
    with pytest.raises(CheckpointError, match=f"it has 1 keys without the prefix that the model's others have: {LAYER}"):
        plan(tmp_path / "mixed.safetensors", mixed)
