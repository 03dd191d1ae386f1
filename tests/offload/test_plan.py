import itertools

import pytest
import small_models
import torch
from lightquant.errors import OffloadError
from lightquant.offload.plan import make_plan
from lightquant.offload.settings import GIB, Settings
from lightquant.offload.units import layers_of, units_of


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """The layers of a DiT of eight blocks, and the bytes of all its weights."""
    import folder_paths
    import pipeline
    from lightquant.bridge import memory

    folder = tmp_path_factory.mktemp("eight")
    with torch.inference_mode():
        small_models.save(small_models.quantized(small_models.dit(width=128, ffn=256, blocks=8), "dit", "fp8-channel"), folder / "eight.safetensors")
        folder_paths.add_model_folder_path("diffusion_models", str(folder))
        model = pipeline.load_dit("eight.safetensors")
        folder_paths.folder_names_and_paths["diffusion_models"][0].remove(str(folder))
        return layers_of(model.model), memory.weight_bytes(model)


def plan(eight, **settings):
    return make_plan(*eight, Settings(**settings))


def test_as_little_as_possible_is_what_is_in_no_block_and_two_buffers(eight):
    layers, total = eight
    least = plan(eight)
    assert (least.kept, least.blocks, len(least.streamed)) == (0, 8, 8)
    assert least.resident_bytes == total - sum(tensor.nbytes for layer in layers for tensor in layer.tensors())
    assert least.buffer_bytes == 2 * max(unit.nbytes for unit in units_of(layers, "block"))


def test_a_phase_needs_smaller_buffers_than_a_block(eight):
    assert plan(eight, granularity="phase").buffer_bytes < plan(eight).buffer_bytes
    assert len(plan(eight, granularity="phase").streamed) == 24


@pytest.mark.parametrize("keep", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_share_of_blocks_stays(eight, keep):
    made = plan(eight, keep=keep)
    assert made.kept == round(8 * keep) == 8 - len(made.streamed)


def test_the_budget_is_used_and_never_passed(eight):
    kept = []
    for share in range(0, 120, 5):
        budget = eight[1] * share / 100
        made = plan(eight, vram_gib=budget / GIB)
        kept.append(made.kept)
        assert made.vram_bytes <= max(budget, plan(eight).vram_bytes)
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert kept[-1] == 8


def test_of_budget_and_share_the_larger_holds(eight):
    budget = plan(eight, keep=0.5).vram_bytes / GIB
    assert plan(eight, keep=0.25, vram_gib=budget).kept == 4
    assert plan(eight, keep=0.75, vram_gib=budget).kept == 6


def test_kept_blocks_lie_evenly_between_the_streamed_ones(eight):
    numbers = [int(unit.name.rpartition(".")[2]) for unit in plan(eight, keep=0.5).streamed]
    assert all(later - earlier == 2 for earlier, later in itertools.pairwise(numbers))


def test_the_whole_model_is_streamed_by_nobody(eight):
    assert not plan(eight, granularity="model").streamed


def test_a_model_without_layers_of_ours_is_all_resident():
    made = make_plan([], 1000, Settings())
    assert (made.blocks, made.streamed, made.vram_bytes) == (0, (), 1000)


def test_the_text_says_what_will_be_used(eight):
    assert plan(eight, keep=0.25).describe().startswith("by block: 2 of 8 blocks stay in VRAM")
    assert plan(eight, keep=1.0).describe().startswith("all 8 blocks stay in VRAM")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"granularity": "layer"}, "There is no granularity layer. The granularities are: model, block, phase."),
        ({"keep": 1.5}, "must be from 0 to 1"),
        ({"vram_gib": -1.0}, "VRAM budget is -1"),
        ({"pinned_gib": -1.0}, "limit of pinned memory is -1"),
        ({"chunk_rows": -5}, "number of rows is -5"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(OffloadError, match=message):
        Settings(**wrong)
