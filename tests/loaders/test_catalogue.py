"""The catalogue says what its source says, and the recogniser tells the same of each name alone."""

import re
from pathlib import Path

import pytest
from lightquant.formats import FORMATS
from lightquant.loaders.catalogue import CATALOGUE, FOLDER, Published
from lightquant.loaders.components import COMPONENTS
from lightquant.loaders.names import recognise


@pytest.mark.parametrize("published", CATALOGUE.values(), ids=CATALOGUE)
def test_the_name_alone_tells_component_format_and_folder(published: Published):
    named = recognise(published.name)
    assert (named.component, named.format, named.folder) == (published.component, published.format, published.folder)
    assert named.expert == next((expert for expert in ("high", "low") if f"_{expert}_noise_" in published.name), None)
    assert named.family == "" if published.component in ("t5", "clip") else f"{published.name[:6]} {published.name[7:10]}" in named.family


@pytest.mark.parametrize("published", CATALOGUE.values(), ids=CATALOGUE)
def test_entries_are_sound(published: Published):
    assert re.fullmatch(r"lightx2v/[\w.-]+", published.repository)
    assert re.fullmatch(r"[\w.-]+", published.name)
    assert published.format in (None, *FORMATS)
    assert published.folder == (COMPONENTS[published.component].folder if published.component in COMPONENTS else "loras")
    assert (Path(published.name).suffix in (".safetensors", ".pth")) != (published.kind == FOLDER)


def test_what_is_in_it():
    counts = {}
    for published in CATALOGUE.values():
        key = (published.repository.split("/")[1], published.component, published.kind)
        counts[key] = counts.get(key, 0) + 1
    assert counts == {
        ("Wan2.1-Distill-Models", "dit", "file"): 12, ("Wan2.1-Distill-Models", "dit", "folder"): 2,
        ("Wan2.2-Distill-Models", "dit", "file"): 9, ("Wan2.2-Distill-Models", "dit", "folder"): 2,
        ("Encoders-Lightx2v", "t5", "file"): 3, ("Encoders-Lightx2v", "clip", "file"): 3,
        ("Wan2.1-Distill-Loras", "lora", "file"): 2, ("Wan2.2-Distill-Loras", "lora", "file"): 6,
    }  # fmt: skip
    assert CATALOGUE["wan2.2_i2v_A14b_high_noise_int8_lightx2v_4step_1030_split"].kind == FOLDER
    assert "wan2.2_i2v_A14b_low_noise_int8_lightx2v_4step_1030_split" not in CATALOGUE
