"""Wan's names and diffusers': one to one on the keys of every real model, each given by its project's own class."""

import json
from pathlib import Path

import pytest
import torch
import wan_variants
from lightquant.convert.names import DIFFUSERS, ORIGINAL, PAIRS, naming_of, to_diffusers, to_original, unknown_keys

DIFFUSERS_KEYS = json.loads(Path(__file__).with_name("diffusers_names.json").read_text(encoding="utf-8"))["models"]
"""From diffusers' own classes, by list_diffusers_names.py."""


@pytest.fixture(scope="module", params=list(wan_variants.VARIANTS))
def originals(request):
    """The keys of a model as ComfyUI's own class has them."""
    with torch.inference_mode():
        return list(wan_variants.tensors(request.param))


@pytest.mark.parametrize("name", list(DIFFUSERS_KEYS))
def test_the_names_and_shapes_are_those_of_diffusers_own_class(name):
    ours = {to_diffusers(key): list(tensor.shape) for key, tensor in wan_variants.tensors(name).items() if "blocks.1." not in key}
    assert ours == DIFFUSERS_KEYS[name]
    assert {to_original(key) for key in DIFFUSERS_KEYS[name]} == {key for key in wan_variants.tensors(name) if "blocks.1." not in key}


def test_no_key_is_lost_on_the_way_there_and_back(originals):
    there = [to_diffusers(key) for key in originals]
    assert len(set(there)) == len(originals)
    assert [to_original(key) for key in there] == originals


def test_a_key_that_has_its_name_already_keeps_it(originals):
    assert [to_original(key) for key in originals] == originals
    there = [to_diffusers(key) for key in originals]
    assert [to_diffusers(key) for key in there] == there


def test_names_stay_apart_with_underscores_for_dots(originals):
    names = {name for key in originals for name in (key, to_diffusers(key))}
    assert len({name.replace(".", "_") for name in names}) == len(names)


def test_a_naming_is_recognised(originals):
    assert naming_of(originals) == ORIGINAL
    assert naming_of(map(to_diffusers, originals)) == DIFFUSERS


def test_the_other_components_have_no_naming_of_a_dit(floats):
    assert naming_of(floats["t5"]) is None
    assert naming_of(floats["clip"]) is None


def test_a_mix_of_namings_is_none():
    assert naming_of(["blocks.0.self_attn.q.weight", "blocks.1.attn1.to_q.weight"]) is None
    assert naming_of([]) is None


def test_every_pair_is_needed_once():
    for side in zip(*PAIRS, strict=True):
        assert len(set(side)) == len(PAIRS)


@pytest.mark.parametrize(
    ("original", "diffusers"),
    [
        ("blocks.12.self_attn.o.weight_scale", "blocks.12.attn1.to_out.0.weight_scale"),
        ("blocks.12.cross_attn.k_img.scale_weight", "blocks.12.attn2.add_k_proj.scale_weight"),
        ("blocks.39.ffn.0.lora_down.weight", "blocks.39.ffn.net.0.proj.lora_down.weight"),
        ("blocks.3.cross_attn.norm_k_img.diff", "blocks.3.attn2.norm_added_k.diff"),
        ("blocks.3.norm3.diff_b", "blocks.3.norm2.diff_b"),
        ("blocks.0.self_attn.q_lora.up.weight", "blocks.0.attn1.to_q_lora.up.weight"),
        ("blocks.0.self_attn.q.lora_A.default.weight", "blocks.0.attn1.to_q.lora_A.default.weight"),
        ("blocks.7.self_attn.q", "blocks.7.attn1.to_q"),
        ("blocks.7.modulation", "blocks.7.scale_shift_table"),
        ("head.modulation", "scale_shift_table"),
        ("vace_blocks.1.after_proj.bias", "vace_blocks.1.proj_out.bias"),
        ("head.head.bias", "proj_out.bias"),
        ("patch_embedding.weight", "patch_embedding.weight"),
    ],
)
def test_what_is_behind_a_modules_name_is_carried_over(original, diffusers):
    assert to_diffusers(original) == diffusers
    assert to_original(diffusers) == original


@pytest.mark.parametrize(
    "key", ["blocks.0.affine_norm3.weight", "blocks.0.self_attn.query.weight", "my_blocks.0.norm3.weight", "control_adapter.x", ""]
)
def test_what_only_looks_like_a_module_is_left_as_it_is(key):
    assert to_diffusers(key) == to_original(key) == key
    assert unknown_keys([key]) == [key]


def test_models_that_diffusers_names_in_full_have_no_unknown_keys():
    for name in DIFFUSERS_KEYS:
        assert unknown_keys(wan_variants.tensors(name)) == unknown_keys(DIFFUSERS_KEYS[name]) == []
    assert "face_adapter.fuser_blocks.0.linear1_kv.weight" in unknown_keys(wan_variants.tensors("2.2 Animate"))
