import functools

import pytest
import torch
from lightquant.errors import KernelError
from lightquant.formats import FORMATS
from lightquant.kernels import best_variant, checks, registry, report, select
from lightquant.kernels.checks import in_child, numeric, remembered
from lightquant.kernels.checks.finding import Finding
from lightquant.kernels.contract import UNCHECKED, Kernel
from lightquant.kernels.expand import Expanded
from lightquant.kernels.foreign.kernel import ForeignKernel
from lightquant.kernels.foreign.packages import TORCH
from lightquant.kernels.order import Order, last_resort
from lightquant.kernels.registry import VARIANTS
from lightquant.schemes import SCHEMES, called, schemes_of
from lightquant.texts import catalogue

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
    assert list(VARIANTS) == list(SCHEMES)
    assert all(VARIANTS.values())
    assert sorted(map(id, (kernel for kernels in VARIANTS.values() for kernel in kernels))) == sorted(
        id(kernel) for file in registry._FILES for kernel in file.VARIANTS
    )
    verdicts = report(CPU)
    for name in LIGHTX2V:
        runs, why = verdicts[name]
        assert not runs
        assert "it needs an NVIDIA GPU, this is the CPU" in why or "is not installed" in why or "on a CPU without avx512_vnni" in why
    assert verdicts["fp8-torch"][0]
    assert verdicts["int8-torch"][0]


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
    with pytest.raises(KernelError, match=r"No kernel for fp8-channel runs on meta.*Load a float file: none of LightQuant's formats runs here\."):
        select(scheme, "fp8-channel", torch.device("meta"))


@pytest.mark.parametrize(
    ("may_substitute", "said"),
    [(True, "No kernel for fp8-channel runs on cpu"), (False, "No other scheme that reads fp8-channel runs on this machine either.")],
)
def test_where_nothing_reads_a_format_the_formats_that_run_are_named(monkeypatch, may_substitute, said):
    """As on a Mac, whose GPU has no fp8."""
    monkeypatch.setattr(registry, "best_variant", functools.partial(without_fp8, best_variant))
    with pytest.raises(KernelError) as problem:
        select("fp8-vllm", "fp8-channel", CPU, may_substitute=may_substitute)
    assert said in str(problem.value)
    assert str(problem.value).endswith("Load a file of another format: int8-channel, int4-g128.")
    assert "missing_kernel" not in str(problem.value), "nothing could be substituted"
    assert catalogue("zh").translate(str(problem.value)).endswith("请加载其他格式的文件：int8-channel，int4-g128。")


def without_fp8(ask, scheme, device, checking=True):
    return (None, "this device has no fp8") if "fp8" in scheme else ask(scheme, device, checking)


def test_shapes_the_kernel_cannot_take_go_to_the_fallback():
    def stored(out_features: int):
        return FORMATS["fp8-channel"].quantize(torch.ones(out_features, 48))

    selection = select("auto", "fp8-channel", CPU)._replace(kernel=VARIANTS["fp8-torch"][0])
    assert selection.for_rows(4, stored(32), torch.bfloat16) is VARIANTS["fp8-torch"][0]
    assert selection.for_rows(4, stored(33), torch.bfloat16) is VARIANTS["fp8-torch"][-1]


class Multiplies(Kernel):
    """A kernel that runs anywhere, or nowhere."""

    format, package = "fp8-channel", TORCH

    def __init__(self, name: str, runs: bool = True):
        self.name, self.runs, self.variant = name, runs, f"{name}'s product"

    def is_supported(self, device):
        return self.runs, self.variant

    def quantize(self, x):
        raise NotImplementedError

    def matmul(self, rows, weight, bias, out_dtype):
        raise NotImplementedError


@pytest.fixture
def fastest_first(monkeypatch):
    """Puts the last resort in front, as on Hopper, before a second kernel; says whether each of the two multiplies."""

    def put(first: bool, second: bool) -> None:
        monkeypatch.setattr(registry, "order_of", lambda *_: Order(("fp8-torch", "fp8-sgl", "fp8-torch"), "expected"))
        monkeypatch.setitem(VARIANTS, "fp8-torch", (Multiplies("fp8-torch", first), VARIANTS["fp8-torch"][-1]))
        monkeypatch.setitem(VARIANTS, "fp8-sgl", (Multiplies("fp8-sgl", second),))

    return put


@pytest.mark.parametrize(
    ("first", "second", "taken", "said"),
    [
        (True, True, "fp8-torch", "first in the order of speed"),
        (False, True, "fp8-sgl", "faster ones can't run here: fp8-torch (expected)"),
        (False, False, "fp8-torch", "faster ones can't run here: fp8-sgl (expected)"),
    ],
)
def test_auto_expands_the_weight_only_where_nothing_multiplies(fastest_first, first, second, taken, said):
    fastest_first(first, second)
    selection = select("auto", "fp8-channel", CPU)
    assert selection.kernel.name == taken
    assert isinstance(selection.kernel, Expanded) == (not first and not second)
    assert said in selection.why


def test_a_scheme_that_is_named_may_expand(fastest_first):
    fastest_first(False, True)
    assert isinstance(select("fp8-torch", "fp8-channel", CPU).kernel, Expanded)


@pytest.mark.parametrize(("first", "checks"), [(True, 0), (False, 1)])
def test_kernels_of_other_packages_are_checked_together_once_one_is_needed(fastest_first, monkeypatch, first, checks):
    class Foreign(Multiplies, ForeignKernel):
        def runs_on(self, device):
            return False, "not here"

        def load(self, found, device):
            raise NotImplementedError

    fastest_first(first, False)
    monkeypatch.setitem(VARIANTS, "fp8-sgl", (Foreign("fp8-sgl", False),))
    asked = []
    monkeypatch.setattr(registry, "check_all", asked.append)
    select("auto", "fp8-channel", CPU)
    assert asked == [CPU] * checks
    report(CPU)
    assert asked == [CPU] * (checks + 1)


def test_what_is_foreseen_is_told_without_a_check_and_true_once_it_is_made(monkeypatch):
    def never(*_, **__):
        raise AssertionError("something was run")

    checks.forget()
    with monkeypatch.context() as patch:
        patch.setattr(numeric, "error_of", never)
        patch.setattr(in_child.subprocess, "run", never)
        for scheme, variants in VARIANTS.items():
            assert variants[-1].foreseen(CPU) == (None, UNCHECKED) if scheme.endswith("-torch") else variants[-1].foreseen(CPU)[0] is False
        selection = select("auto", "fp8-channel", CPU, checking=False)
        assert (selection.kernel, UNCHECKED in selection.why) == (VARIANTS["fp8-torch"][-1], True)
        with pytest.raises(KernelError, match=r"fp8-vllm can't run here: it needs an NVIDIA GPU.* run on this machine: fp8-torch"):
            select("fp8-vllm", "fp8-channel", CPU, may_substitute=False, checking=False)
    report(CPU)
    for variants in VARIANTS.values():
        assert [kernel.foreseen(CPU) for kernel in variants] == [kernel.is_supported(CPU) for kernel in variants]
    assert select("auto", "fp8-channel", CPU, checking=False) == select("auto", "fp8-channel", CPU)


def test_what_a_check_elsewhere_has_found_is_foreseen(monkeypatch, tmp_path):
    class Foreign(Multiplies, ForeignKernel):
        foreseen, is_supported = ForeignKernel.foreseen, ForeignKernel.is_supported
        address = "double.Foreign"

        def runs_on(self, device):
            return True, "here"

        def load(self, found, device):
            raise NotImplementedError

    kernel = Foreign("fp8-sgl")
    assert kernel.foreseen(CPU) == (None, UNCHECKED)
    remembered.remember({remembered.key(kernel.address, kernel.found().described, CPU): Finding(False, "it is wrong")})
    works, why = kernel.foreseen(CPU)
    assert (works, why.endswith("it is wrong")) == (False, True)
    monkeypatch.setitem(VARIANTS, "fp8-sgl", (kernel,))
    assert select("fp8-sgl", "fp8-channel", CPU, checking=False).kernel.name == "fp8-torch"


@pytest.mark.parametrize(
    ("names", "format_name", "schemes"),
    [
        (["vllm"], "fp8-channel", ["fp8-vllm"]),
        (["VLLM", "int8-SGL", "fp8-sgl"], "int8-channel", ["int8-vllm", "int8-sgl"]),
        (["sglang-kernel", "q8_kernels", "comfy-kitchen"], "int8-channel", ["int8-sgl", "int8-q8f", "int8-kitchen"]),
        (["triton"], "int4-g128", ["int4-g128-triton"]),
        (["int4-g128-a8-triton", "marlin"], "int4-g128", ["int4-g128-a8-triton", "int4-g128-marlin"]),
        (["deep_gemm", "torch", "torch"], "fp8-b128", ["fp8-b128-deepgemm", "fp8-b128-torch"]),
        (["nonsense", ""], "fp8-channel", []),
    ],
)
def test_what_a_preferred_name_means(names, format_name, schemes):
    assert called(names, format_name) == schemes


@pytest.mark.parametrize(
    ("preferred", "taken", "said"),
    [
        (["fp8-torch"], "fp8-torch", "auto: fp8-torch's product; preferred in the settings"),
        (["fp8-vllm", "sgl"], "fp8-sgl", "preferred in the settings, where fp8-vllm can't run"),
        (["fp8-vllm"], "fp8-torch", "first in the order of speed, expected; preferred in the settings, but can't run here: fp8-vllm"),
    ],
)
def test_preferred_kernels_come_first(fastest_first, preferred, taken, said):
    fastest_first(True, True)
    selection = select("auto", "fp8-channel", CPU, preferred=preferred)
    assert (selection.kernel.name, said in selection.why) == (taken, True), selection.why


def test_a_preferred_kernel_may_expand_the_weight(fastest_first):
    fastest_first(False, True)
    assert isinstance(select("auto", "fp8-channel", CPU, preferred=["torch"]).kernel, Expanded)
    assert select("auto", "fp8-channel", CPU).kernel.name == "fp8-sgl"


@pytest.mark.gpu
def test_on_a_gpu_checks_leave_the_random_state_alone():
    device = torch.device("cuda", 0)
    state = torch.cuda.get_rng_state()
    for variants in VARIANTS.values():
        for kernel in variants:
            kernel.is_supported(device)
    assert torch.equal(state, torch.cuda.get_rng_state())


@pytest.mark.gpu
@pytest.mark.parametrize("format_name", list(FORMATS))
def test_on_a_gpu_with_fp8_products_auto_multiplies_8_bit_codes(format_name):
    device = torch.device("cuda", 0)
    if torch.cuda.get_device_capability(device) < (8, 9):
        pytest.skip("no fp8 products here")
    assert not isinstance(select("auto", format_name, device).kernel, Expanded)
