import pytest
import torch
from lightquant.errors import KernelError
from lightquant.formats import FORMATS
from lightquant.kernels import best_variant, report, select
from lightquant.kernels.order import last_resort, order_of
from lightquant.kernels.registry import VARIANTS
from lightquant.schemes import SCHEMES, schemes_of

CPU = torch.device("cpu")
LIGHTX2V = [
    "fp8-vllm", "int8-vllm", "fp8-sgl", "int8-sgl", "fp8-q8f", "int8-q8f", "int8-torchao", "int4-g128-marlin", "fp8-b128-deepgemm",
]  # fmt: skip


def test_the_nine_names_are_lightx2vs_and_come_first():
    assert list(SCHEMES)[:9] == LIGHTX2V


def test_every_scheme_has_one_of_the_four_formats_and_its_hardware():
    assert {scheme.format for scheme in SCHEMES.values()} == {"fp8-channel", "int8-channel", "int4-g128", "fp8-b128"}
    assert all("sm_" in scheme.runs_on for scheme in SCHEMES.values())


def test_every_format_that_is_read_runs_here_and_names_its_schemes():
    for name in FORMATS:
        assert select("auto", name, CPU).kernel.format == name
        assert last_resort(name) in schemes_of(name)


def test_every_scheme_has_a_kernel_and_says_why_it_does_not_run_here():
    assert set(VARIANTS) == set(SCHEMES)
    verdicts = report(CPU)
    for name in LIGHTX2V:
        runs, why = verdicts[name]
        assert not runs
        assert "it needs an NVIDIA GPU, this is the CPU" in why or "is not installed" in why
    assert verdicts["fp8-torch"][0]
    assert verdicts["int8-torch"][0]


@pytest.mark.parametrize("capability", [(7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)], ids=str)
@pytest.mark.parametrize("format_name", list(FORMATS))
def test_every_gpu_has_an_order_that_ends_in_what_runs_everywhere(monkeypatch, capability, format_name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    order = order_of(format_name, torch.device("cuda", 0))
    assert set(order.schemes) <= set(schemes_of(format_name))
    assert last_resort(format_name) in order.schemes
    assert order.basis != "measured on an H200" or capability == (9, 0)


def test_variants_carry_their_schemes_name_and_format():
    for scheme, variants in VARIANTS.items():
        assert {(kernel.name, kernel.format) for kernel in variants} == {(scheme, SCHEMES[scheme].format)}


def test_fp8_on_the_cpu_expands_the_weight_and_says_why():
    kernel, why = best_variant("fp8-torch", CPU)
    assert "expanded" in kernel.variant
    assert "CPU" in why


def test_a_missing_kernel_is_replaced_by_one_of_the_format_or_stops():
    selection = select("fp8-vllm", "fp8-channel", CPU)
    assert selection.kernel.name == "fp8-torch"
    assert "fp8-vllm can't run here" in selection.why
    assert "fp8-torch stands in" in selection.why
    with pytest.raises(KernelError, match=r"fp8-vllm can't run here.*fp8-torch"):
        select("fp8-vllm", "fp8-channel", CPU, may_substitute=False)


@pytest.mark.parametrize("scheme", ["auto", "fp8-vllm"])
def test_a_device_that_runs_nothing_is_an_error_and_no_recursion(scheme):
    with pytest.raises(KernelError, match="No kernel for fp8-channel runs on meta"):
        select(scheme, "fp8-channel", torch.device("meta"))


def test_shapes_the_kernel_cannot_take_go_to_the_fallback():
    def stored(out_features: int):
        return FORMATS["fp8-channel"].quantize(torch.ones(out_features, 48))

    selection = select("auto", "fp8-channel", CPU)._replace(kernel=VARIANTS["fp8-torch"][0])
    assert selection.for_rows(4, stored(32), torch.bfloat16) is VARIANTS["fp8-torch"][0]
    assert selection.for_rows(4, stored(33), torch.bfloat16) is VARIANTS["fp8-torch"][-1]


@pytest.mark.gpu
def test_on_a_hopper_gpu_fp8_is_row_wise_and_int8_is_torchs():
    device = torch.device("cuda", 0)
    assert "row-wise" in select("auto", "fp8-channel", device).kernel.variant
    assert "_int_mm" in select("auto", "int8-channel", device).kernel.variant
    state = torch.cuda.get_rng_state()
    for variants in VARIANTS.values():
        for kernel in variants:
            kernel.is_supported(device)
    assert torch.equal(state, torch.cuda.get_rng_state())
