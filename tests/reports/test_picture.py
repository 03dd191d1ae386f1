"""The picture: its columns are as high as the blocks are large, and every layer's precision is in its place."""

import numpy as np
import pytest
import small_models
import torch
from lightquant.reports import picture
from lightquant.reports.inspect import inspect
from PIL import ImageColor

CPU = torch.device("cpu")


def drawn(tensors, tmp_path, data: bool = False, name: str = "m.safetensors") -> np.ndarray:
    report = inspect(str(small_models.save(tensors, tmp_path / name)), CPU, data)
    return np.asarray(picture.draw(report)).astype(int)


def pixels(image: np.ndarray, colour: str) -> np.ndarray:
    return (image == np.array(ImageColor.getrgb(colour))).all(axis=2)


FP8 = picture._COLOURS["fp8 e4m3, one scale a row"]


def test_a_block_kept_in_bf16_stands_out(tmp_path, floats):
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel", torch.float16)
    plain = drawn(tensors, tmp_path)
    assert not pixels(plain, picture._COLOURS["bf16"]).any()
    for layer in ("ffn.0", "ffn.2"):
        key = f"blocks.1.{layer}.weight"
        tensors[key] = floats["dit"][key].bfloat16()
        del tensors[key + "_scale"]
    mixed = drawn(tensors, tmp_path)
    body = mixed[:, picture.LABELS :]
    columns = np.flatnonzero(pixels(body, picture._COLOURS["bf16"])[300:].any(axis=0))
    assert columns.min() > 0.9 * picture._WIDEST  # nothing over block 0; the legend's square stands there or further right
    assert pixels(body, FP8)[:, : picture._WIDEST].any()


def test_suspicious_layers_are_marked(tmp_path, floats):
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    assert not pixels(drawn(tensors, tmp_path, data=True), picture.ALARM).any()
    tensors["blocks.0.ffn.0.weight_scale"][0] = float("nan")
    assert not pixels(drawn(tensors, tmp_path), picture.ALARM).any()
    assert pixels(drawn(tensors, tmp_path, data=True), picture.ALARM).any()


@pytest.mark.parametrize("component", ["i2v", "t5", "clip"])
def test_every_component_fits_the_canvas(tmp_path, floats, component):
    kind = "dit" if component == "i2v" else component
    image = drawn(small_models.quantized(floats[component], kind, "int8-channel"), tmp_path, name="m.pth")
    assert image.shape[1:] == (picture.WIDTH, 3)
    assert 400 < image.shape[0] < picture._MOST_HEIGHT
    assert (image[-10:] == 255).all()


def test_models_without_blocks_and_with_hundreds(tmp_path):
    assert drawn({"a.weight": torch.ones(4, 4), "b": torch.ones(2)}, tmp_path).shape[0] < 400
    many = {f"blocks.{block}.{role}.weight": torch.ones(2, 2) for block in range(300) for role in map(str, range(60))}
    image = drawn(many, tmp_path)
    assert image.shape[0] <= picture._MOST_HEIGHT
    assert drawn({}, tmp_path).shape[1] == picture.WIDTH
