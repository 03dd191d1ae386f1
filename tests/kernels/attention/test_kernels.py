"""The attention kernels against the oracle: torch's own for real, those of other packages by doubles that hold the packages' contracts."""

import attention_doubles as doubles
import kernel_doubles
import pytest
import torch
import torch.nn.functional as F
from lightquant.kernels.attention import Call, checks, flash2, flash3, kitchen, reference, sage, sdpa
from lightquant.kernels.attention.checks import SMALL, THOROUGH, Case
from lightquant.kernels.foreign.packages import Found
from lightquant.kernels.reference import relative_error

CPU = torch.device("cpu")
NOWHERE = Found("nowhere", "/nowhere", "")


@pytest.fixture
def foreign(monkeypatch, request):
    """Puts a package's double in place, and gives its kernel, loaded."""
    name = request.param
    if name.startswith("flash3 "):
        kernel = flash3.OfVLLM()
        with doubles.flash3_operator(doubles.FLASH3_SCHEMAS[name.removeprefix("flash3 ")]):
            kernel.load(NOWHERE, CPU)
            yield kernel
        return
    kernel, module, functions = {
        "flash_attn_interface": (flash3.OfItsPackage(), "flash_attn_interface", {"flash_attn_func": doubles.flash_attn_interface(False)}),
        "flash_attn_interface, a pair": (flash3.OfItsPackage(), "flash_attn_interface", {"flash_attn_func": doubles.flash_attn_interface(True)}),
        "flash_attn": (flash2.Flash2(), "flash_attn", {"flash_attn_func": doubles.flash_attn_func}),
        "sage": (sage.Sage(), "sageattention", {"sageattn": doubles.sageattn}),
        "kitchen": (kitchen.Kitchen(), "comfy_kitchen", {"int8_attention": doubles.int8_attention}),
    }[name]
    kernel_doubles.module(monkeypatch, module, **functions)
    kernel.load(NOWHERE, CPU)
    yield kernel


FOREIGN = [
    *(f"flash3 {version}" for version in doubles.FLASH3_SCHEMAS),
    "flash_attn_interface", "flash_attn_interface, a pair", "flash_attn", "sage", "kitchen",
]  # fmt: skip


def heads_first(call: Call) -> list[torch.Tensor]:
    return [each.transpose(1, 2) for each in call[:3]]


@pytest.mark.parametrize("case", THOROUGH, ids=str)
def test_the_oracle_is_torchs_attention(case):
    call = checks.made(case, torch.float32, CPU)
    q, k, v = heads_first(call)
    shared = q.shape[1] // k.shape[1]
    k, v = (each.repeat_interleave(shared, dim=1) for each in (k, v))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=call.mask, scale=call.scale).transpose(1, 2)
    assert relative_error(reference.attention(call), expected) < 1e-6


def test_the_oracle_adds_float_masks():
    call = checks.made(SMALL[1], torch.float32, CPU)
    added = torch.zeros(call.mask.shape).masked_fill_(~call.mask, -torch.inf)
    assert torch.equal(reference.attention(call._replace(mask=added)), reference.attention(call))


def test_the_checks_notice_what_is_wrong():
    """Heads that swap places, a scale that is ignored, keys that are shared in another order, a mask that is lost, a rest that is left out."""
    call = checks.made(Case(2, 300, 77, 4, 2, 128, True), torch.float32, CPU)
    right = reference.attention(call)
    wrong = {
        "heads": right.flip(2),
        "batch": right.flip(0),
        "scale": reference.attention(call._replace(scale=128**-0.5)),
        "sharing": reference.attention(call._replace(k=call.k.repeat(1, 1, 2, 1), v=call.v.repeat(1, 1, 2, 1))),
        "mask": reference.attention(call._replace(mask=None)),
        "rest": reference.attention(call._replace(k=call.k[:, :64], v=call.v[:, :64], mask=call.mask[..., :64])),
    }
    assert {name: error for name, each in wrong.items() if (error := relative_error(each, right)) < 0.15} == {}


def test_torchs_own_attention_for_cpus_is_right():
    kernel = sdpa.FlashOnCPU()
    assert kernel.is_supported(CPU)[0]
    finding = checks.thorough_check(kernel, CPU, lambda: None)
    assert finding.works, finding.why
    assert "in 36 attentions" in finding.why  # every case in every dtype


def test_it_is_torchs_flash_that_runs_on_the_cpu():
    call = checks.made(SMALL[0], torch.bfloat16, CPU)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        sdpa.FlashOnCPU().attend(call)
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in {event.name for event in profile.events()}


@pytest.mark.parametrize("foreign", FOREIGN, indirect=True)
def test_kernels_of_other_packages_are_called_as_these_document(foreign):
    finding = checks.thorough_check(foreign, CPU, lambda: None)
    assert finding.works, finding.why
    dtypes = 2
    cases = [case for case in THOROUGH if case.width in foreign.widths and (foreign.takes_mask or not case.has_mask)]
    assert f"in {dtypes * len(cases)} attentions" in finding.why
    assert len(cases) >= 4
    assert (finding.error > 0.004) is not foreign.is_exact


@pytest.mark.parametrize("foreign", FOREIGN, indirect=True)
def test_rows_may_lie_anyhow(foreign):
    """Behind ComfyUI's skip_reshape a head's rows are dense; sliced or transposed operands are made so where a package needs it."""
    call = checks.made(Case(2, 33, 65, 4, 4, 128), torch.bfloat16, CPU)
    expected = foreign.attend(call)
    dense = [each.transpose(1, 2).contiguous().transpose(1, 2) for each in call[:3]]
    turned = [each.transpose(2, 3).contiguous().transpose(2, 3) for each in call[:3]]
    for q, k, v in (dense, turned):
        output = foreign.attend(call._replace(q=q, k=k, v=v))
        assert torch.equal(output, expected)
        assert output.is_contiguous()


@pytest.mark.parametrize("foreign", FOREIGN, indirect=True)
def test_its_operator_has_a_fake_that_is_true(foreign):
    for batch in (1, 2):
        check_fake(foreign, checks.made(Case(batch, 33, 65, 4, 2, 128, foreign.takes_mask), torch.bfloat16, CPU))


def test_torchs_own_has_a_fake_that_is_true():
    check_fake(sdpa.FlashOnCPU(), checks.made(Case(2, 33, 65, 4, 2, 64, True), torch.float32, CPU))


def check_fake(kernel, call: Call) -> None:
    real = kernel.attend(call)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = kernel.attend(Call(*(mode.from_tensor(each) if isinstance(each, torch.Tensor) else each for each in call)))
    assert (fake.shape, fake.stride(), fake.dtype) == (real.shape, real.stride(), real.dtype)


@pytest.mark.parametrize("foreign", FOREIGN, indirect=True)
def test_twice_the_same_bits(foreign):
    call = checks.made(SMALL[0], torch.bfloat16, CPU)
    assert torch.equal(foreign.attend(call), foreign.attend(call))


@pytest.mark.parametrize(
    ("schema", "words"), [(doubles.NEW_ARGUMENT, "an argument brand_new, which is new"), (doubles.NO_LENGTHS, "no argument cu_seqlens_q")]
)
def test_an_operator_of_another_version_is_refused_when_it_is_loaded(schema, words):
    with doubles.flash3_operator(schema), pytest.raises(ImportError, match=words):
        flash3.OfVLLM().load(NOWHERE, CPU)


def test_vllms_library_is_found_and_vllm_is_not_imported(tmp_path, monkeypatch):
    folder = tmp_path / "vllm"
    (folder / "vllm_flash_attn").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('vllm was imported')")
    library = folder / "vllm_flash_attn" / "_vllm_fa3_C.abi3.so"
    library.touch()
    loaded = []
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)
    kernel = flash3.OfVLLM()
    with pytest.raises(ImportError, match="no operator _vllm_fa3_C::fwd"):
        kernel.load(kernel.found(), CPU)
    assert loaded == [str(library)]
    with doubles.flash3_operator(doubles.FLASH3_SCHEMAS["vllm 0.26"]):
        kernel.load(kernel.found(), CPU)


@pytest.mark.parametrize(
    ("kernel", "module", "functions", "words"),
    [
        (flash3.OfItsPackage(), "flash_attn_interface", {}, "no function flash_attn_func"),
        (flash2.Flash2(), "flash_attn", {}, "no function flash_attn_func"),
        (sage.Sage(), "sageattention", {}, "no function sageattn"),
        (sage.Sage(), "sageattention", {"sageattn": lambda q, k, v, is_causal=False: q}, "no function sageattn with tensor_layout"),
        (kitchen.Kitchen(), "comfy_kitchen", {}, "older than its int8_attention"),
    ],
)
def test_a_package_without_its_function_is_refused_when_it_is_loaded(monkeypatch, kernel, module, functions, words):
    kernel_doubles.module(monkeypatch, module, **functions)
    with pytest.raises(ImportError, match=words):
        kernel.load(NOWHERE, CPU)


@pytest.mark.parametrize(
    ("case", "dtype", "refused"),
    [
        (SMALL[0], torch.bfloat16, ""),
        (SMALL[0], torch.float32, "a dtype that it does not take"),
        (SMALL[1], torch.bfloat16, "a mask"),
        (Case(1, 8, 8, 2, 2, 80), torch.bfloat16, "a head's width that it does not take"),
    ],
    ids=str,
)
def test_what_a_kernel_does_not_take_has_a_reason(case, dtype, refused):
    call = checks.made(case, dtype, CPU)
    for kernel in (flash3.OfVLLM(), flash2.Flash2(), sdpa.CuDNN(), sage.Sage()):
        assert kernel.can_run(call) == (not refused, refused)


def test_only_int8_kitchen_and_torchs_for_cpus_take_masks():
    call = checks.made(SMALL[1], torch.bfloat16, CPU)
    assert [each.can_run(call)[0] for each in (kitchen.Kitchen(), sdpa.FlashOnCPU(), sdpa.Efficient(), sdpa.Flash())] == [True, True, False, False]


def test_no_other_thread_is_told_which_backend_to_take(monkeypatch):
    """ComfyUI computes on several GPUs in a thread each, and what torch allows is one for all of them."""
    flags = [getattr(torch.backends.cuda, f"{name}_sdp_enabled") for name in ("flash", "mem_efficient", "math", "cudnn")]
    during = []
    backend = sdpa._BACKENDS["flash-for-cpu"]
    watched = backend._replace(attend=lambda *given: during.extend(flag() for flag in flags) or backend.attend(*given))
    monkeypatch.setitem(sdpa._BACKENDS, "flash-for-cpu", watched)
    sdpa.FlashOnCPU().attend(checks.made(SMALL[0], torch.bfloat16, CPU))
    assert during == [True] * 4


def test_a_batch_that_comfyui_cuts_in_pieces_is_left_to_it():
    q = torch.zeros(1, 1, 1, 64, dtype=torch.bfloat16).expand((1 << 15) + 1, 1, 1, 64)
    assert sdpa.FlashOnCPU().can_run(Call(q, q, q, 1.0)) == (False, "a batch that is too large for one call")


@pytest.mark.parametrize("groups", [2, 4])
def test_on_a_gpu_torch_itself_is_asked_what_its_backend_takes(monkeypatch, groups):
    """By a call of the same shapes; here there is no GPU to ask, so the question is looked at."""
    asked = []
    backend = sdpa._BACKENDS["cudnn"]._replace(takes=lambda params: asked.append(params) or len(asked) > 1)
    monkeypatch.setitem(sdpa._BACKENDS, "cudnn", backend)
    call = checks.made(Case(1, 33, 65, 4, groups, 128), torch.bfloat16, CPU)
    kernel = sdpa.CuDNN()
    assert [kernel._torch_takes(call), kernel._torch_takes(call)] == [False, True]
    assert asked[0].query.shape == (1, 4, 33, 128)
    assert asked[0].key.shape == asked[0].value.shape == (1, 4, 65, 128)
    assert not asked[0].enable_gqa
