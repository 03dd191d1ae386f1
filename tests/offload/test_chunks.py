import pipeline
import pytest
import torch
from lightquant.kernels.reference import relative_error
from lightquant.offload.chunks import Chunked, Difference
from offloading import offloaded, sample

FP8, INT8 = "wan_t2v_fp8.safetensors", "wan_t2v_int8.safetensors"


@pytest.mark.parametrize(("file", "rows"), [(FP8, 5), (FP8, 16), (FP8, 31), (FP8, 64), (INT8, 5), (INT8, 16), (INT8, 31)])
def test_latents_are_the_same_where_the_kernel_is(models, file, rows):
    """Activations are quantized by the row; the CPU's products of more than a row do not depend on how many there are."""
    model = pipeline.load_dit(file)
    assert torch.equal(sample(offloaded(model, chunk_rows=rows)), sample(model))


def test_where_it_is_not_they_are_close_and_the_node_says_so(model, plain, monkeypatch):
    said = []
    monkeypatch.setattr("lightquant.nodes.offload.show", lambda text, node: said.append(text))
    assert relative_error(sample(offloaded(model, chunk_rows=1)), plain) < 1e-4
    assert "FFN in chunks of 1 rows: relative difference" in said[-1]
    sample(offloaded(model, chunk_rows=8))
    assert "FFN in chunks of 8 rows: bit-identical on 16 rows" in said[-1]


def test_fewer_rows_than_a_chunk_are_computed_as_they_are(model, plain):
    clone = offloaded(model, chunk_rows=1000)
    assert torch.equal(sample(clone), plain)


def test_the_inner_activations_are_of_a_chunk(model):
    seen = []
    layer = model.model.diffusion_model.blocks[0].ffn[0]
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[1]))
    sample(offloaded(model, chunk_rows=5, granularity="model"), steps=1, cfg=1.0)
    handle.remove()
    assert sorted(set(seen)) == [4, 5, 10]  # 32 rows in seven chunks; the one comparison has two chunks' rows
    assert seen.count(10) == 1


def test_another_branch_computes_whole(model, plain):
    clone = offloaded(model, chunk_rows=4)
    sample(clone)
    assert torch.equal(sample(model), plain)
    assert not any(isinstance(block.ffn.forward, Chunked) for block in model.model.diffusion_model.blocks)
    again = offloaded(clone, chunk_rows=0)
    assert not any(isinstance(patch, Chunked) for patch in again.object_patches.values())


def test_another_nodes_forward_is_chunked_and_comes_back(model):
    """Once the chunks are gone: by a second node, or with a copy of the model, which starts anew."""
    key = "diffusion_model.blocks.0.ffn.forward"
    plain = model.model.diffusion_model.blocks[0].ffn.forward
    patched = model.clone()
    patched.add_object_patch(key, lambda x: 2 * plain(x))
    expected = sample(patched)
    chunked = offloaded(patched, chunk_rows=4)
    assert torch.equal(sample(chunked), expected)
    assert torch.equal(sample(offloaded(chunked, chunk_rows=8)), expected)
    whole = offloaded(chunked, chunk_rows=0)
    assert whole.object_patches[key] is patched.object_patches[key]


@pytest.mark.parametrize("step", [0.0, 0.25])
def test_the_difference_is_found_and_said(step):
    calls = iter(range(100))

    def forward(x):
        return x + step * (next(calls) == 4)

    difference = Difference(3)
    chunked = Chunked(forward, difference)
    assert chunked(torch.ones(2, 3, 4)).shape == (2, 3, 4)
    assert difference.error is None
    assert "not compared" in difference.describe()
    next(calls)
    chunked(torch.ones(2, 7, 4))
    assert (difference.error == 0) == (step == 0)
    assert ("bit-identical" in difference.describe()) == (step == 0)


def test_an_encoder_has_no_ffn_of_that_name(models):
    from lightquant.nodes.offload import Offload
    from offloading import INPUTS

    clip = pipeline.load_t5("models_t5_umt5-xxl-enc-fp8.pth")
    text = Offload.execute(clip=clip, **{**INPUTS, "chunk_rows": 8}).ui.as_dict()["text"][0]
    assert "it has no FFN that could be computed in chunks" in text
