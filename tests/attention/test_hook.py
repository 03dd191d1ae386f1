"""ComfyUI's hook: whatever its attention functions can be asked, the answer is the one that they give."""

import attention_doubles as doubles
import comfy.ldm.modules.attention as comfyui
import pytest
import torch
from comfy.ldm.modules.attention import attention_basic, attention_pytorch, attention_split, attention_sub_quad
from lightquant.attention.override import Override
from lightquant.kernels.attention.flash3 import OfVLLM
from lightquant.kernels.reference import relative_error

CPU = torch.device("cpu")
BATCH, QUERIES, KEYS, HEADS, WIDTH = 2, 17, 23, 4, 64
FUNCTIONS = [attention_pytorch, attention_sub_quad, attention_split, attention_basic]


def operands(heads_apart: bool, groups: int = HEADS, dtype=torch.float32, keys: int = KEYS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    sizes = ((QUERIES, HEADS), (keys, groups), (keys, groups))
    made = [torch.randn(BATCH, length, count * WIDTH, generator=generator, dtype=dtype) for length, count in sizes]
    return [each.unflatten(2, (-1, WIDTH)).transpose(1, 2) for each in made] if heads_apart else made


def options(kernel, device=CPU) -> dict:
    return {"transformer_options": {"optimized_attention_override": Override(kernel, device)}}


def handed(settings: dict) -> dict[str, int]:
    return dict(settings["transformer_options"]["optimized_attention_override"].tally._handed)


@pytest.mark.parametrize("skip_output_reshape", [False, True])
@pytest.mark.parametrize("skip_reshape", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_shapes_that_come_and_go(kernel, function, skip_reshape, skip_output_reshape):
    q, k, v = operands(skip_reshape)
    flags = {"skip_reshape": skip_reshape, "skip_output_reshape": skip_output_reshape}
    expected = function(q, k, v, HEADS, **flags)
    output = function(q, k, v, HEADS, **flags, **options(kernel))
    assert output.shape == expected.shape
    assert relative_error(output, expected) < 1e-5
    (call,) = kernel.calls
    assert call.q.shape == (BATCH, QUERIES, HEADS, WIDTH)
    assert call.k.shape == call.v.shape == (BATCH, KEYS, HEADS, WIDTH)


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (4, {"heads": HEADS}),
        (6, {}),
        (0, {"heads": HEADS, "mask": None, "attn_precision": None, "skip_reshape": False, "skip_output_reshape": False}),
    ],
)
def test_arguments_come_by_place_and_by_name(kernel, given, settings):
    everything = [*operands(False), HEADS, None, None]
    by_name = dict(zip("qkv", everything[:3], strict=True)) if given == 0 else {}
    positional = everything[: given if given != 4 else 3]
    expected = attention_pytorch(*positional, **by_name, **settings)
    assert relative_error(attention_pytorch(*positional, **by_name, **settings, **options(kernel)), expected) < 1e-5
    assert len(kernel.calls) == 1


@pytest.mark.parametrize("scale", [0.3, 1, None])
def test_a_scale_is_kept(kernel, scale):
    q, k, v = operands(False)
    expected = torch.nn.functional.scaled_dot_product_attention(*operands(True), scale=scale).transpose(1, 2).flatten(2)
    assert relative_error(attention_pytorch(q, k, v, HEADS, scale=scale, **options(kernel)), expected) < 1e-5
    assert kernel.calls[0].scale == (WIDTH**-0.5 if scale is None else scale)


@pytest.mark.parametrize("skip_reshape", [False, True])
def test_shared_keys(kernel, skip_reshape):
    q, k, v = operands(skip_reshape, groups=2)
    heads_first = operands(True, groups=2)
    expected = torch.nn.functional.scaled_dot_product_attention(*heads_first, enable_gqa=True).transpose(1, 2).flatten(2)
    output = attention_pytorch(q, k, v, HEADS, skip_reshape=skip_reshape, enable_gqa=True, **options(kernel))
    assert relative_error(output, expected) < 1e-5
    assert kernel.calls[0].k.shape == (BATCH, KEYS, 2, WIDTH)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


MASKS = {
    "added, for all": (drawn(QUERIES, KEYS), True),
    "added, a batch": (drawn(BATCH, QUERIES, KEYS), True),
    "added, a head": (drawn(BATCH, HEADS, QUERIES, KEYS), True),
    "added, spread": (drawn(1, 1, 1, KEYS), True),
    "seen, a batch": (drawn(BATCH, QUERIES, KEYS) < 0.5, True),
    "seen, a head": (drawn(BATCH, 1, QUERIES, KEYS) < 0.5, True),
    "seen, for all": (drawn(QUERIES, KEYS) < 0.5, "a mask that ComfyUI's functions read in different ways"),
    "added in another dtype": (drawn(QUERIES, KEYS).double(), "a mask of another kind"),
}


@pytest.mark.parametrize("name", list(MASKS))
def test_masks(kernel, name):
    mask, taken = MASKS[name]
    if mask.dtype is torch.bool:
        mask[..., 0] = True
    q, k, v = operands(False)
    settings = options(kernel)
    if mask.dtype is torch.float64:
        with pytest.raises(RuntimeError):  # as without the override
            attention_pytorch(q, k, v, HEADS, mask=mask, **settings)
    else:
        expected = attention_pytorch(q, k, v, HEADS, mask=mask)
        assert relative_error(attention_pytorch(q, k, v, HEADS, mask=mask, **settings), expected) < 1e-5
    assert handed(settings) == ({} if taken is True else {taken: 1})
    assert len(kernel.calls) == (taken is True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"attn_precision": torch.float64}, "a precision that was asked for"),
        ({"something_new": 3}, "an argument that LightQuant does not know"),
        ({"heads": 8}, "shapes that do not fit each other"),
        ({"scale": torch.tensor(0.5)}, "a scale that is no number"),
    ],
)
def test_what_can_not_be_read_goes_to_comfyuis_function_as_it_came(kernel, change, why):
    given = []

    def own(*args, **kwargs):
        given.append((args, kwargs))
        return torch.zeros(1)

    own = comfyui.wrap_attn(own)
    q, k, v = operands(True)
    arguments = {"heads": HEADS, "skip_reshape": True, **change}
    settings = options(kernel)
    own(q, k, v, **arguments, **settings)
    assert handed(settings) == {why: 1}
    (args, kwargs) = given[0]
    assert all(one is other for one, other in zip(args, (q, k, v), strict=True))
    assert {name: value for name, value in kwargs.items() if name not in ("_inside_attn_wrapper", "transformer_options")} == arguments
    assert not kernel.calls


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (lambda q, k, v: (q, k.double(), v), "operands of several dtypes"),
        (lambda q, k, v: (q, k, v[:, :-1]), "shapes that do not fit each other"),
        (lambda q, k, v: (q, k[:1], v[:1]), "shapes that do not fit each other"),
        (lambda q, k, v: (q, k[:, :0], v[:, :0]), "shapes that do not fit each other"),
        (lambda q, k, v: (q[0], k[0], v[0]), "shapes that do not fit each other"),
    ],
)
def test_operands_that_do_not_fit_go_to_comfyuis_function(kernel, parts, why):
    override = Override(kernel, CPU)
    assert override(lambda *args, **kwargs: "own", *parts(*operands(False)), HEADS) == "own"
    assert dict(override.tally._handed) == {why: 1}


def test_other_names_go_to_comfyuis_function(kernel):
    q, k, v = operands(False)
    settings = options(kernel)
    attention_sub_quad(query=q, key=k, value=v, heads=HEADS, **settings)
    assert handed(settings) == {"arguments by other names": 1}


def test_a_gradient_goes_to_comfyuis_function(kernel):
    with torch.inference_mode(False):
        q, k, v = (each.clone().requires_grad_() for each in operands(False))
        settings = options(kernel)
        attention_pytorch(q, k, v, HEADS, **settings).sum().backward()
    assert q.grad is not None
    assert handed(settings) == {"a gradient": 1}


@pytest.mark.parametrize("runs", [True, False])
def test_on_a_second_device_the_kernel_is_asked_once_whether_it_runs_there(kernel, monkeypatch, runs):
    """ComfyUI gives the calls of one model to several GPUs; where the kernel can't run they go to ComfyUI's function."""
    asked = []
    monkeypatch.setattr(kernel, "is_supported", lambda device: asked.append(device) or (runs, ""), raising=False)
    settings = options(kernel, torch.device("meta"))
    for _ in range(2):
        attention_pytorch(*operands(False), HEADS, **settings)
    assert asked == [CPU]
    assert handed(settings) == ({} if runs else {"a device that it does not run on": 2})


@pytest.mark.parametrize("allowed", [True, False, None])
def test_a_caller_that_allows_no_quantized_attention_gets_none(kernel, allowed):
    kernel.is_exact = False
    more = {} if allowed is None else {"low_precision_attention": allowed}
    settings = options(kernel)
    attention_pytorch(*operands(False), HEADS, **more, **settings)
    assert handed(settings) == ({"a caller that allows no quantized attention": 1} if allowed is False else {})
    exact = options(type(kernel)())
    attention_pytorch(*operands(False), HEADS, **more, **exact)
    assert handed(exact) == {}


@pytest.mark.parametrize("keys", [1, 77, 512])
def test_short_and_cross_attention(keys):
    """By torch's own kernel for CPUs."""
    from lightquant.kernels.attention.sdpa import FlashOnCPU

    q, k, v = operands(False, keys=keys)
    expected = attention_basic(q, k, v, HEADS)
    assert relative_error(attention_basic(q, k, v, HEADS, **options(FlashOnCPU())), expected) < 1e-5


def test_a_run_is_counted_by_kernel_and_by_reason(kernel):
    kernel.takes_mask = False
    settings = options(kernel)
    override = settings["transformer_options"]["optimized_attention_override"]
    q, k, v = operands(False)
    for mask in (None, None, torch.zeros(QUERIES, KEYS)):
        attention_pytorch(q, k, v, HEADS, mask=mask, **settings)
    assert override.tally.describe() == "attention of the last run: sdpa-flash took 2 calls; ComfyUI's own 1 call (a mask: 1)"
    override.begin()
    assert override.tally.describe() == "attention of the last run: no call came by, or all were compiled"


@pytest.mark.parametrize("outer", [None, lambda own, *args, **kwargs: own(*args, **kwargs)], ids=["alone", "behind another override"])
def test_torch_compile_sees_a_foreign_kernel_as_one_operator(outer):
    """vLLM's FlashAttention-3 by its double; in one graph, which gives the same bits."""
    kernel = OfVLLM()

    def attention(q, options):
        return attention_pytorch(q, q, q, 2, transformer_options=options)

    torch._dynamo.reset()
    q = drawn(1, 9, 256).bfloat16()
    settings = {"optimized_attention_override": Override(kernel, CPU, outer)}
    with doubles.flash3_operator(doubles.FLASH3_SCHEMAS["vllm 0.26"]):
        compiled = torch.compile(attention, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(q, settings), attention(q, settings))
        graphs = torch._dynamo.explain(attention)(q, settings).graphs
    assert ["lightquant.flash3_vllm.default" in graph.code for graph in graphs] == [True]
