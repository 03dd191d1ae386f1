"""A checkpoint from its headers is the one that reading gives, less its numbers."""

import pytest
import small_models
import torch
from lightquant.errors import CheckpointError
from lightquant.loaders import outline as module
from lightquant.loaders import read
from lightquant.loaders.files import opener
from lightquant.loaders.outline import outline
from safetensors.torch import load_file

open_file = opener(lambda path: (load_file(path), {}))


def kinds(floats) -> dict:
    """Name of a file -> its component and tensors."""
    return {
        "mixed.safetensors": ("dit", small_models.mixed(floats["i2v"], "dit", small_models.of_all_formats)),
        "prefixed.safetensors": (
            "dit",
            {f"model.diffusion_model.{key}": each for key, each in small_models.comfyui_mode(floats["dit"], "dit").items()},
        ),
        "tagged.safetensors": ("dit", small_models.core_tagged(floats["dit"], "dit", "fp8-channel")),
        "tagged.pth": ("dit", small_models.core_tagged(floats["dit"], "dit", "int8-channel")),
        "t5.pth": ("t5", small_models.quantized(floats["t5"], "t5", "int8-channel")),
        "clip.pth": ("clip", small_models.quantized(floats["clip"], "clip", "fp8-channel")),
        "float.safetensors": ("clip", floats["clip"]),
    }


def shapes(tensors) -> dict:
    return {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in tensors.items()}


def flat(checkpoint) -> dict:
    return {f"{layer}.{field}": part for layer, weight in checkpoint.weights.items() for field, part in weight._asdict().items()}


def test_it_has_what_the_files_checkpoint_has(floats, tmp_path):
    for name, (component, tensors) in kinds(floats).items():
        path = str(small_models.save(tensors, tmp_path / name))
        told, true = outline(path, component), read(path, component, open_file)
        assert shapes(flat(told)) == shapes(flat(true)), name
        assert shapes(told.tensors) == shapes(true.tensors), name
        assert told.formats == true.formats
        assert all(part.is_meta for part in flat(told).values())
    folder = small_models.save_split(small_models.quantized(floats["dit"], "dit", "int4-g128"), tmp_path / "split")
    assert shapes(flat(outline(str(folder), "dit"))) == shapes(flat(read(str(folder), "dit", open_file)))


def test_no_weight_is_read(floats, tmp_path, monkeypatch):
    path = small_models.save(small_models.quantized(floats["dit"], "dit", "int8-channel"), tmp_path / "wan.safetensors")
    size = path.stat().st_size
    with path.open("r+b") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        file.truncate(begin)
        file.truncate(size)  # all numbers are gone: zeros, and no room on the disk
    assert outline(str(path), "dit").formats == ("int8-channel",)
    monkeypatch.setattr(module, "open_pickled", None)
    outline(str(path), "dit")


@pytest.mark.parametrize("what", ["no scale", "wrong scale", "half a block", "other tag"])
def test_it_refuses_what_reading_refuses_in_the_same_words(floats, tmp_path, what):
    tensors = small_models.core_tagged(floats["dit"], "dit", "int8-channel")
    key = "blocks.1.ffn.2.weight_scale"
    if what == "no scale":
        del tensors[key]
    elif what == "wrong scale":
        tensors[key] = torch.ones(7, 1)
    elif what == "half a block":
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("blocks.0.") or "self_attn" in key}
        tensors = {key.replace("blocks.1.", "blocks.2."): tensor for key, tensor in tensors.items()}
    else:
        tensors["blocks.0.ffn.0.comfy_quant"] = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)
    path = str(small_models.save(tensors, tmp_path / "wan.safetensors"))
    said = []
    for call in (lambda: outline(path, "dit"), lambda: read(path, "dit", open_file)):
        with pytest.raises(CheckpointError) as caught:
            call()
        said.append(str(caught.value))
    assert said[0] == said[1]
