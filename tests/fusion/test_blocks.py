"""Blocks computed in another way than ComfyUI's: shared ones to the last bit, fused ones close, and always only where nobody else has a say."""

import comfy.ldm.wan.model as wan
import nodes
import pipeline
import pytest
import small_loras
import torch
from checks import cosine
from comfy_extras.nodes_torch_compile import TorchCompileModel
from lightquant.attention.apply import attend
from lightquant.bridge.attention_hook import set_override
from lightquant.bridge.block_patches import blocks_of, replaced
from lightquant.errors import FusionError
from lightquant.fusion import blocks
from lightquant.fusion.apply import compute_blocks
from lightquant.fusion.block import Inputs, output_of
from lightquant.fusion.blocks import Blocks
from lightquant.fusion.modes import AUTO, FUSE, PLAIN, SHARE
from lightquant.fusion.steps import Fused, Separate
from lightquant.kernels import Activation
from lightquant.kernels.reference import relative_error
from lightquant.kernels.rows import Coding, floats
from lightquant.lora.apply import add_lora
from lightquant.nodes.blocks import Blocks as BlocksNode

FILES = ["wan_t2v_fp8.safetensors", "wan_t2v_int8.safetensors", "wan_i2v_fp8.safetensors"]
POSITIVE, NEGATIVE = pipeline.conditioning(1), pipeline.conditioning(2)


def sample(model, **more):
    return pipeline.sample(model, POSITIVE, NEGATIVE, **more)


def in_mode(model, mode: str):
    return BlocksNode.execute(model, mode).args[0]


@pytest.fixture
def model(models):
    return pipeline.load_dit(FILES[0])


@pytest.fixture
def computed(monkeypatch):
    """The numbers of the blocks that were computed by ours."""
    numbers = []

    def counting(block, given, steps):
        numbers.append(given.transformer_options["block_index"])
        return output_of(block, given, steps)

    monkeypatch.setattr(blocks, "output_of", counting)
    return numbers


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("mode", [SHARE, FUSE])
@pytest.mark.parametrize(("batch", "cfg"), [(1, 1.0), (2, 5.0)])
def test_the_latents_are_those_of_comfyuis_blocks(models, computed, file, mode, batch, cfg):
    model, text = pipeline.load_dit(file), pipeline.conditioning(1, image="i2v" in file)
    expected = pipeline.sample(model, text, text, batch=batch, cfg=cfg)
    changed = in_mode(model, mode)
    found = pipeline.sample(changed, text, text, batch=batch, cfg=cfg)
    assert computed[:3] == [0, 0, 1]  # the first one is compared before
    assert torch.equal(found, expected) if mode == SHARE else cosine(found, expected) > 0.9999
    assert torch.equal(pipeline.sample(changed, text, text, batch=batch, cfg=cfg), found)
    assert torch.equal(pipeline.sample(model, text, text, batch=batch, cfg=cfg), expected)


def test_each_activation_is_quantized_once(model, monkeypatch):
    """q, k and v of the self-attention and k, v of the cross-attention: three of a block's ten products need none of their own."""
    from lightquant.kernels import activation

    made = []
    monkeypatch.setattr(activation, "quantize", lambda x, coding: made.append(x.shape) or _quantize(x, coding))
    from lightquant.kernels.quantize import quantize as _quantize

    sample(model, steps=1, cfg=1.0)
    plain, shared = len(made), in_mode(model, SHARE)
    sample(shared, steps=1, cfg=1.0)  # compares the first block
    made.clear()
    sample(shared, steps=1, cfg=1.0)
    assert plain - len(made) == 2 * 3


@pytest.mark.parametrize("steps", [Separate(), Fused()])
@pytest.mark.parametrize("sets", [1, 2])
def test_a_block_with_a_time_for_each_frame(model, steps, sets):
    """Wan2.2 5B gives each frame its own time embedding."""
    block = model.model.diffusion_model.blocks[1]
    generator = torch.Generator().manual_seed(0)
    dim, tokens = block.dim, 32
    x, e = torch.randn(2, tokens, dim, generator=generator), torch.randn(2, sets, 6, dim, generator=generator) / 3
    context, freqs = torch.randn(2, 7, dim, generator=generator), model.model.diffusion_model.rope_encode(2, 8, 8, device=x.device, dtype=x.dtype)
    expected = block(x, e, freqs, context)
    found = output_of(block, Inputs(x, e, freqs, context, None, {}), steps)
    error = float((found - expected).norm() / (expected - x).norm())
    assert error == 0 if isinstance(steps, Separate) else error < 0.01


def test_what_others_change_is_left_to_them(model, computed):
    expected = sample(model)
    replacing = model.clone()
    replacing.set_model_patch_replace(lambda arguments, extra: extra["original_block"](arguments), "dit", "double_block", 0)
    text = compute_blocks(replacing, SHARE)
    assert "1 of 2 blocks are another node's already" in text
    assert torch.equal(sample(replacing), expected)
    assert set(computed) == {1}
    computed.clear()
    patched = in_mode(model, FUSE)
    patched.set_model_attn2_patch(lambda given: given["x"])
    assert torch.equal(sample(patched), expected)
    hook = model.model.diffusion_model.blocks[1].self_attn.q.register_forward_hook(lambda module, given, output: None)
    try:
        said, hooked = [], model.clone()
        compute_blocks(hooked, FUSE, said.append)
        sample(hooked)
    finally:
        hook.remove()
    assert set(computed) == {0}
    assert said == ["blocks of the last run: 1 computed so; 1 by ComfyUI's own code, as another node changes them"]


@pytest.mark.parametrize("mode", [SHARE, FUSE])
@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_comfyui_whose_blocks_compute_something_else_gets_its_own(model, monkeypatch, caplog, mode, is_compiled):
    forward = wan.WanAttentionBlock.forward
    monkeypatch.setattr(wan.WanAttentionBlock, "forward", lambda self, x, *given, **named: 1.2 * forward(self, x, *given, **named))
    expected, said, changed = sample(model), [], model.clone()
    compute_blocks(changed, mode, said.append)
    if is_compiled:
        changed = TorchCompileModel.execute(changed, "inductor").args[0]
    for _ in range(2):
        found = sample(changed)
        assert cosine(found, expected) > 0.9999 if is_compiled else torch.equal(found, expected)
    assert "the first block differs from ComfyUI's own" in caplog.text
    assert "2 by ComfyUI's own code, as the first block differs from ComfyUI's own by" in said[0]


@pytest.mark.parametrize("mode", [SHARE, FUSE])
@pytest.mark.parametrize("attention", [None, "ours", "another's"])
def test_the_first_block_is_compared_on_a_part_of_the_rows(model, monkeypatch, mode, attention):
    """Another's attention may only know whole videos."""
    seen = []

    def noting(block, given, steps):
        seen.append(given.x.shape[1])
        return output_of(block, given, steps)

    monkeypatch.setattr(blocks, "output_of", noting)
    monkeypatch.setattr(blocks, "_COMPARED_ROWS", 5)
    changed = model.clone()
    if attention == "ours":
        attend(changed, "sdpa-flash", may_substitute=False)
    elif attention:
        set_override(changed, lambda own, *given, **named: own(*given, **named))
    expected = sample(changed, steps=1, cfg=1.0)
    found = sample(in_mode(changed, mode), steps=1, cfg=1.0)
    assert torch.equal(found, expected) if mode == SHARE else cosine(found, expected) > 0.9999
    first, *others = seen
    assert first == (others[0] if attention == "another's" else 5)
    assert len(others) == 2
    assert others[0] > 5


@pytest.mark.parametrize(("sets", "rows"), [(1, 5), (2, 5), (4, 8), (16, 32), (32, 32)])
def test_the_part_that_is_compared_has_rows_for_every_set(model, monkeypatch, sets, rows):
    """Of 32: ComfyUI's block fails where it has more sets than half of its rows, unless each row has one."""
    monkeypatch.setattr(blocks, "_COMPARED_ROWS", 5)
    diffusion = model.model.diffusion_model
    block, dim = diffusion.blocks[0], diffusion.blocks[0].dim
    e, context = torch.randn(1, sets, 6, dim) / 3, torch.randn(1, 7, dim)
    freqs = diffusion.rope_encode(2, 8, 8, device=e.device, dtype=e.dtype)
    part = blocks._beginning({"img": torch.randn(1, 32, dim), "vec": e, "pe": freqs, "txt": context, "transformer_options": {}})
    assert part["img"].shape[1] == part["pe"].shape[1] == rows
    found = output_of(block, Inputs(part["img"], part["vec"], part["pe"], context, None, {}), Separate())
    assert torch.equal(found, block(part["img"], part["vec"], part["pe"], context))


def test_gelu_takes_its_inputs_place_only_as_floats():
    x = torch.randn(3, 4, 256, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.gelu(x, approximate="tanh")
    coding = Coding(torch.int8)
    for steps in (Separate(), Fused()):
        given = x.clone()
        activation = steps.gelu(given)
        assert torch.equal(activation.floats(), expected)
        assert activation.floats().data_ptr() == given.data_ptr()
        assert relative_error(floats(activation.rows(coding)), expected.flatten(0, 1)) < 0.02
    given = x.clone()
    activation = Fused().gelu(given)
    assert relative_error(floats(activation.rows(coding)), expected.flatten(0, 1)) < 0.02
    assert torch.equal(given, x)
    assert torch.equal(activation.floats(), expected)  # a LoRA beside the product asks for them, too


def test_what_was_given_up_is_not_made_again():
    activation = Activation.of(torch.ones(2, 8))
    assert activation.rows(None).values.shape == (2, 8)
    activation.give_up()
    with pytest.raises(ValueError, match="given up"):
        activation.floats()


@pytest.mark.parametrize("mode", [SHARE, FUSE])
def test_with_loras(model, mode, tmp_path, add_folder):
    add_folder("loras", tmp_path)
    path = small_loras.save(tmp_path, "a.safetensors", small_loras.factors(small_loras.QUANTIZED))
    for changed in (nodes.LoraLoaderModelOnly().load_lora_model_only(model, "a.safetensors", 1.0)[0], add_lora(model, path, 1.0, "beside").model):
        expected = sample(changed)
        assert cosine(expected, sample(model)) < 0.9999
        found = sample(in_mode(changed, mode))
        assert torch.equal(found, expected) if mode == SHARE else cosine(found, expected) > 0.9999


@pytest.mark.parametrize("mode", [SHARE, FUSE])
@pytest.mark.parametrize("chunk_rows", [0, 16])
def test_with_offload_before_or_behind(model, computed, request, mode, chunk_rows):
    if request.config.getoption("--dynamic-vram"):
        pytest.skip("the node adds nothing to dynamic VRAM")
    from offloading import offloaded

    expected = sample(in_mode(model, mode))
    for changed in (in_mode(offloaded(model, chunk_rows=chunk_rows), mode), offloaded(in_mode(model, mode), chunk_rows=chunk_rows)):
        computed.clear()
        found = sample(changed)
        assert set(computed) == {0, 1}
        assert torch.equal(found, expected) if not chunk_rows or mode == SHARE else cosine(found, expected) > 0.9999


@pytest.mark.parametrize("mode", [SHARE, FUSE])
def test_compiled_they_are_ours(model, monkeypatch, mode):
    expected = sample(in_mode(model, mode))
    compiled = TorchCompileModel.execute(in_mode(model, mode), "inductor").args[0]
    sample(compiled, steps=1, cfg=1.0)  # the first prediction compares, and is not compiled

    def forward(self, *given, **named):
        raise AssertionError("ComfyUI's block was asked")

    monkeypatch.setattr(wan.WanAttentionBlock, "forward", forward)
    assert cosine(sample(compiled), expected) > 0.9999


def test_what_was_never_compared_is_not_compiled_in(monkeypatch):
    """A torch that can't be told to leave the first prediction uncompiled goes on with ComfyUI's blocks."""
    monkeypatch.setattr(blocks, "output_of", lambda *given: torch.zeros(1, 4, 8))
    ours = Blocks(SHARE)
    monkeypatch.setattr(ours, "_given", lambda number, arguments: (None, None))
    own = {"original_block": lambda arguments: {"img": arguments["img"] + 1}}
    compiled = torch.compile(lambda: ours(0, {"img": torch.zeros(1, 4, 8)}, own)["img"], backend="eager")
    assert torch.equal(compiled(), torch.ones(1, 4, 8))
    ours._seen.add(torch.device("cpu"))
    assert torch.equal(compiled(), torch.zeros(1, 4, 8))


def test_a_second_node_replaces_the_first_and_clones_are_their_own(model, computed):
    first = in_mode(model, FUSE)
    plain, again = in_mode(first, PLAIN), in_mode(first, SHARE)
    assert not replaced(plain)
    assert not replaced(model)
    assert len(replaced(first)) == len(replaced(again)) == len(blocks_of(model))
    assert torch.equal(sample(plain), sample(model))
    assert not computed


def test_auto_says_why(model):
    assert compute_blocks(model.clone(), AUTO).endswith("(auto: fusing is for NVIDIA GPUs)")
    assert compute_blocks(model.clone(), PLAIN) == "blocks, plain: ComfyUI's own (as asked for)"


def test_another_model_is_refused(model):
    other = model.clone()
    other.model = torch.nn.Linear(1, 1)
    with pytest.raises(FusionError, match="no blocks of Wan's"):
        compute_blocks(other, SHARE)
    other.model.diffusion_model = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([torch.nn.Linear(1, 1)])})
    with pytest.raises(FusionError, match="no blocks of Wan's"):
        compute_blocks(other, SHARE)


def test_a_float_model_is_refused(models):
    """Its layers have nothing to share."""
    model = nodes.UNETLoader().load_unet("wan_t2v.safetensors", "default")[0]
    with pytest.raises(FusionError, match="None of this model's 2 blocks"):
        compute_blocks(model, SHARE)
    with pytest.raises(FusionError, match="None of this model's 2 blocks"):
        compute_blocks(model, AUTO)
    text = compute_blocks(model, AUTO, is_wanted=False)  # by a loader, whose user has not asked for it
    assert text == "blocks, plain: ComfyUI's own (auto: they are of a kind that is not known here)"
    with pytest.raises(FusionError, match="None of this model's 2 blocks"):
        compute_blocks(model, FUSE, is_wanted=False)


def test_a_block_that_is_called_outside_of_a_run_is_left_to_comfyui():
    """Which blocks there are is known only while the model that was set up for it runs."""
    assert Blocks(SHARE)._given(0, {"transformer_options": {}, "vec": torch.empty(1, 6, 8), "img": None, "txt": None, "pe": None}) is None
