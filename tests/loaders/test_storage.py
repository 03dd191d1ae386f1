"""Checkpoints in several files: joined where they are whole, refused by name where they are not."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import small_models
import torch
from lightquant.errors import CheckpointError
from lightquant.loaders import read
from lightquant.loaders.blocks import absent_blocks, promised_depth
from lightquant.loaders.files import opener
from lightquant.loaders.identity import identify_path
from lightquant.loaders.storage import CHUNKED, FILE, SHARDED, SPLIT, fold_parts, headers, open_storage, storage_of
from safetensors.torch import load_file, save_file

INDEX = "diffusion_pytorch_model.safetensors.index.json"
open_file = opener(lambda path: (load_file(path), {"from": os.path.basename(path)}))


@pytest.fixture
def tensors(floats):
    return small_models.quantized(floats["dit"], "dit", "int8-channel")


@pytest.fixture
def split(tensors, tmp_path):
    return small_models.save_split(tensors, tmp_path / "wan_split")


@pytest.fixture
def chunked(tensors, tmp_path):
    return small_models.save_chunked(tensors, tmp_path / "wan_chunked", size=20)


def refusal(folder) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(str(folder), "dit", open_file)
    text = str(caught.value)
    assert str(folder) in text
    assert "\n" not in text
    return text


def assert_same(found, tensors) -> None:
    assert set(found) == set(tensors)
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_the_kinds_are_told_apart(split, chunked, tensors, tmp_path):
    file = small_models.save(tensors, tmp_path / "alone" / "wan.safetensors")
    assert [storage_of(str(path)).kind for path in (split, chunked, file, file.parent)] == [SPLIT, CHUNKED, FILE, FILE]
    shards = tmp_path / "shards"
    for number, keys in enumerate((list(tensors)[:50], list(tensors)[50:]), 1):
        small_models.save({key: tensors[key] for key in keys}, shards / f"diffusion_pytorch_model-{number:05}-of-00002.safetensors")
    assert storage_of(str(shards)).kind == SHARDED
    assert_same(open_storage(str(shards), open_file)[0], tensors)


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("form", ["split", "chunked"])
def test_parts_are_joined_with_and_without_their_index(request, form, indexed, tensors):
    folder = request.getfixturevalue(form)
    if not indexed:
        (folder / INDEX).unlink()
    (folder / "config.json").write_text(json.dumps({"dim": 256, "num_layers": 2}))
    (folder / "notes.safetensors.txt").write_text("not a part")
    assert_same(open_storage(str(folder), open_file)[0], tensors)
    seen = headers(str(folder))
    assert {key: (header.dtype, header.shape) for key, header in seen.items()} == {key: (t.dtype, tuple(t.shape)) for key, t in tensors.items()}
    assert len(read(str(folder), "dit", open_file).weights) == 20


def test_an_index_that_names_a_missing_file(split, chunked):
    (split / "block_1.safetensors").unlink()
    assert f"{INDEX} names block_1.safetensors, which is not there" in refusal(split)
    (chunked / "converted_part2.safetensors").unlink()
    assert f"{INDEX} names converted_part2.safetensors, which is not there" in refusal(chunked)


def test_without_an_index_absent_parts_are_told_by_the_names_of_the_others(split, chunked):
    for folder in (split, chunked):
        (folder / INDEX).unlink()
    (chunked / "converted_part1.safetensors").unlink()
    assert "converted_part1.safetensors is absent" in refusal(chunked)
    (split / "block_0.safetensors").unlink()
    (split / "non_block.safetensors").unlink()
    assert "block_0.safetensors, non_block.safetensors are absent" in refusal(split)


def test_without_an_index_a_missing_last_block_is_told_by_the_config(split):
    (split / INDEX).unlink()
    (split / "config.json").write_text(json.dumps({"dim": 256, "num_layers": 3}))
    assert "the block blocks.2 is absent" in refusal(split)


def test_without_either_by_the_published_depth_in_every_form(floats, tmp_path):
    """A 1.3B is 1536 wide and 30 blocks deep, unless a configuration says that this one is shorter."""
    wide = small_models.quantized(small_models.dit(width=1536, ffn=64, blocks=1), "dit", "int8-channel")
    file = small_models.save(wide, tmp_path / "alone" / "wan.safetensors")
    folder = small_models.save_split(wide, tmp_path / "a_split")
    for path, beside in ((file, file.parent), (folder, folder)):
        assert "the block blocks.1 is absent" in refusal(path)
        (beside / "config.json").write_text(json.dumps({"dim": 5120, "num_layers": 1}))  # of another model
        assert "the block blocks.1 is absent" in refusal(path)
        (beside / "config.json").write_text(json.dumps({"dim": 1536, "num_layers": 1}))
        assert len(read(str(path), "dit", open_file).weights) == 10


def test_an_encoders_own_configuration_is_not_the_dits(floats, tmp_path):
    folder = small_models.save_chunked(small_models.quantized(floats["t5"], "t5", "int8-channel"), tmp_path / "t5", size=9)
    (folder / INDEX).unlink()
    (folder / "config.json").write_text(json.dumps({"num_layers": 2, "dim": 4096}))
    assert len(read(str(folder), "t5", open_file).weights) == 14


def test_an_index_with_a_byte_order_mark(split, tensors):
    text = (split / INDEX).read_text()
    (split / INDEX).write_text(text, encoding="utf-8-sig")
    assert_same(open_storage(str(split), open_file)[0], tensors)
    (split / INDEX).write_text("[" * 100_000)
    assert INDEX in refusal(split)


def test_a_mended_index_is_noticed(split):
    index = json.loads((split / INDEX).read_text())
    index["weight_map"]["blocks.9.extra"] = "block_1.safetensors"
    good = (split / INDEX).read_text()
    (split / INDEX).write_text(json.dumps(index))
    assert identify_path(str(split)) is None
    (split / INDEX).write_text(good)
    assert identify_path(str(split)).format == "int8-channel"


def test_mapped_tensors_stay_in_the_file(tmp_path):
    """Reading a checkpoint takes no memory for its weights: they are pages of the file until somebody touches them."""
    wide = small_models.quantized(small_models.dit(width=1024, ffn=8192, blocks=8), "dit", "int8-channel")
    folder = small_models.save_split(wide, tmp_path / "wan_split")
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    code = (
        "import re, sys\nfrom safetensors.torch import load_file\nfrom lightquant.loaders import read\nfrom lightquant.loaders.files import opener\n"
        "own = lambda: int(re.search(r'RssAnon:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024\n"
        "before = own()\ncheckpoint = read(sys.argv[1], 'dit', opener(lambda path: (load_file(path), {})))\nprint(own() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert size > 150e6
    assert int(done.stdout) < 0.2 * size


def test_a_block_that_is_absent_within_its_file(tensors, tmp_path):
    shifted = {key.replace("blocks.1.", "blocks.2."): tensor for key, tensor in tensors.items()}
    assert "the block blocks.1 is absent" in refusal(small_models.save(shifted, tmp_path / "wan.safetensors"))


def test_two_files_that_hold_one_key(split):
    key = "blocks.0.ffn.0.weight"
    part = load_file(split / "block_1.safetensors")
    save_file({**part, key: load_file(split / "block_0.safetensors")[key]}, split / "block_1.safetensors")
    assert f"block_0.safetensors and block_1.safetensors both hold {key}" in refusal(split)


def test_a_key_that_the_index_promises(split):
    part = load_file(split / "block_1.safetensors")
    del part["blocks.1.modulation"]
    save_file(part, split / "block_1.safetensors")
    assert "promises blocks.1.modulation in block_1.safetensors" in refusal(split)


def test_checkpoints_are_never_merged(split, chunked, tensors, tmp_path):
    shutil.copy(chunked / "converted_part0.safetensors", split)
    assert f"{INDEX} does not name converted_part0.safetensors" in refusal(split)
    (split / INDEX).unlink()
    assert "parts of several checkpoints" in refusal(split)
    for number in range(2):
        small_models.save(tensors, tmp_path / "two" / f"wan_{number}.safetensors")
    assert "several checkpoints (wan_0.safetensors, wan_1.safetensors), which are never merged" in refusal(tmp_path / "two")
    (chunked / ("second" + INDEX)).write_text("{}")
    assert "several checkpoints" in refusal(chunked)


@pytest.mark.parametrize("weight_map", [None, 3, {}, {"a": ["b"]}, {"a": 1}])
def test_a_damaged_index(split, weight_map):
    (split / INDEX).write_text(json.dumps({"weight_map": weight_map} if weight_map is not None else []))
    assert INDEX in refusal(split)
    (split / INDEX).write_text("{")
    assert INDEX in refusal(split)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/secret.safetensors", "a\\secret.safetensors"])
def test_an_index_reaches_nothing_outside_its_folder(split, name):
    (split / INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
    assert "where files beside it are needed" in refusal(split)


def test_a_folder_without_a_checkpoint(tmp_path):
    assert "no .safetensors file in this folder" in refusal(tmp_path)


def test_a_damaged_part_is_named(split):
    path = split / "block_1.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"block_1\.safetensors: it ends after"):
        read(str(split), "dit", open_file)


def test_parts_are_folded_into_their_folder_where_they_are_not_alone():
    parts = [os.path.join("a", f"wan_part{number}.safetensors") for number in (0, 1)]
    assert fold_parts([*parts, os.path.join("b", "wan_part2.safetensors"), "block_0.safetensors", "non_block.safetensors", "wan.safetensors"]) == {
        "a", os.path.join("b", "wan_part2.safetensors"), os.curdir, "wan.safetensors",
    }  # fmt: skip


def test_an_index_of_what_is_in_no_block_promises_no_block(tmp_path):
    """As LightX2V's converter writes a CLIP by blocks."""
    folder = small_models.save({"visual.head": torch.ones(2)}, tmp_path / "clip" / "non_block.safetensors").parent
    with pytest.raises(CheckpointError, match=r"block_0.safetensors is absent"):
        storage_of(str(folder))
    (folder / INDEX).write_text(json.dumps({"weight_map": {"visual.head": "non_block.safetensors"}}))
    assert storage_of(str(folder)).kind == SPLIT


@pytest.mark.parametrize("name", ["block_3000000", "wan_part3000000", "wan-00001-of-99999"])
def test_a_number_in_a_name_makes_no_list_of_its_length(tmp_path, name):
    folder = small_models.save({"a": torch.ones(2)}, tmp_path / "odd" / f"{name}.safetensors").parent
    with pytest.raises(CheckpointError, match=rf"it holds {name}.safetensors, where no checkpoint has 10000 parts"):
        storage_of(str(folder))


def test_a_number_in_a_key_makes_no_list_of_its_length(tmp_path):
    assert len(absent_blocks(["blocks.5000000.weight", f"blocks.{'9' * 5000}.weight"])) == 10_000
    (tmp_path / "config.json").write_text('{"dim": 8, "num_layers": 1e999}')
    assert promised_depth(storage_of(str(tmp_path / "wan.safetensors")), 8) == 0
    (tmp_path / "config.json").write_text('{"dim": 8, "num_layers": 5000000}')
    assert promised_depth(storage_of(str(tmp_path / "wan.safetensors")), 8) == 10_000
