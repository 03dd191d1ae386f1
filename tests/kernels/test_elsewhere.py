"""A model on another device than the one that its kernels were selected for, as ComfyUI's Select Device and multi-GPU nodes have it."""

from types import SimpleNamespace

import pytest
import torch
from lightquant.formats import FORMATS, repacked
from lightquant.kernels import registry, select
from lightquant.kernels.contract import Kernel
from lightquant.kernels.devices import nvidia
from lightquant.kernels.foreign.packages import TORCH
from lightquant.kernels.order import Order, last_resort
from lightquant.kernels.registry import VARIANTS, Asked, Selection
from lightquant.schemes import SCHEMES
from small_models import Weights

CPU, ADA, HOPPER, HOPPER_TOO = torch.device("cpu"), *(torch.device("cuda", index) for index in range(3))
OF_A_GPU = [scheme for scheme in SCHEMES if not scheme.endswith("-torch")]


@pytest.fixture(autouse=True)
def nothing_selected_elsewhere(monkeypatch):
    monkeypatch.setattr(registry, "_ELSEWHERE", {})


def selected_on_a_gpu(scheme: str) -> Selection:
    format_name = SCHEMES[scheme].format
    return Selection(VARIANTS[scheme][0], VARIANTS[last_resort(format_name)][-1], "a GPU's", Asked(scheme, format_name, ADA, ()))


def operands(selection: Selection):
    draw = Weights(3)
    weight = repacked(selection.kernel.format, FORMATS[selection.kernel.format].quantize(draw.matrix(256, 256)), selection.kernel.packings)
    return draw.normal(2, 9, 256), weight, draw.normal(256)


@pytest.mark.parametrize("scheme", OF_A_GPU)
def test_on_the_cpu_it_is_what_would_have_been_selected_there(scheme, caplog):
    caplog.set_level("INFO")
    selection = selected_on_a_gpu(scheme)
    x, weight, bias = operands(selection)
    there = select(scheme, selection.kernel.format, CPU)
    expected = there.linear(x, weight, bias)
    for _ in range(3):
        assert torch.equal(selection.linear(x, weight, bias), expected)
    assert caplog.text.count(f"weights loaded for cuda:0 are on cpu, where {there.kernel.name} multiplies them") == 1


@pytest.mark.parametrize("scheme", ["int8-triton", "fp8-vllm"])
def test_it_compiles_without_a_graph_break_and_without_another_selection(scheme, monkeypatch):
    selection = selected_on_a_gpu(scheme)
    x, weight, bias = operands(selection)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: selection.linear(x, weight, bias), fullgraph=True, backend="aot_eager")
    y = compiled(x)
    monkeypatch.setattr(registry, "select", lambda *_, **__: pytest.fail("it was selected again"))
    assert torch.equal(compiled(x), y)
    assert torch.equal(selection.linear(x, weight, bias), y)
    here = select("auto", selection.kernel.format, CPU)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.compile(lambda x: here.linear(x, weight, bias), fullgraph=True, backend="aot_eager")(x)
    assert not torch._dynamo.utils.counters["graph_break"]


class Of(Kernel):
    """A kernel of a range of GPUs, which takes whatever lies there."""

    format, package = "fp8-channel", TORCH

    def __init__(self, name: str, lowest, highest=None):
        self.name, self.lowest, self.highest, self.variant = name, lowest, highest, name

    def is_supported(self, device):
        return nvidia(device, self.lowest, self.highest)

    def takes(self, rows, weight, dtype):
        return True, "a double"

    def quantize(self, x):
        raise NotImplementedError

    def matmul(self, rows, weight, bias, out_dtype):
        raise NotImplementedError


@pytest.fixture
def gpus(monkeypatch):
    """Three GPUs of two generations. fp8-sgl has a variant for each of them, fp8-vllm is for the newer one, which would be the faster."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", {ADA: (8, 9), HOPPER: (9, 0), HOPPER_TOO: (9, 0)}.get)
    monkeypatch.setattr(registry, "order_of", lambda *_: Order(("fp8-vllm", "fp8-sgl", "fp8-torch"), "expected"))
    monkeypatch.setitem(VARIANTS, "fp8-vllm", (Of("fp8-vllm", (9, 0)),))
    monkeypatch.setitem(VARIANTS, "fp8-sgl", (Of("fp8-sgl", (9, 0)), Of("fp8-sgl", (8, 9))))


def kernel_on(selection: Selection, device: torch.device) -> Kernel:
    return selection.for_rows(4, SimpleNamespace(data=SimpleNamespace(device=device)), torch.bfloat16)


def test_a_gpu_of_another_generation_has_its_own_kernel(gpus, caplog):
    caplog.set_level("INFO")
    (vllm,), (of_hopper, of_ada) = VARIANTS["fp8-vllm"], VARIANTS["fp8-sgl"]
    auto, named, newer = select("auto", "fp8-channel", ADA), select("fp8-sgl", "fp8-channel", ADA), select("fp8-vllm", "fp8-channel", HOPPER)
    assert not caplog.text
    for _ in range(3):
        assert [kernel_on(auto, device) for device in (ADA, HOPPER, HOPPER_TOO)] == [of_ada, vllm, vllm]
        assert [kernel_on(named, device) for device in (ADA, HOPPER)] == [of_ada, of_hopper]
        assert [kernel_on(newer, device) for device in (HOPPER, ADA)] == [vllm, of_ada]
    assert len(caplog.records) == 4
    assert "loaded for cuda:1 are on cuda:0, where fp8-sgl multiplies them: fp8-vllm can't run here: it needs sm_90 and newer" in caplog.text


def test_what_is_preferred_and_what_must_not_be_replaced(gpus):
    preferred = select("auto", "fp8-channel", HOPPER, preferred=["sgl"])
    assert kernel_on(preferred, HOPPER_TOO) is VARIANTS["fp8-sgl"][0]
    strict = select("fp8-vllm", "fp8-channel", HOPPER, may_substitute=False)
    assert kernel_on(strict, ADA) is VARIANTS["fp8-sgl"][1], "a run has begun, and says in the log what it does"


def test_a_device_without_a_number_is_the_first(monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(registry, "order_of", lambda *_: Order(("fp8-torch",), "expected"))
    anywhere = Of("fp8-torch", (0, 0))
    anywhere.is_supported = lambda device: (True, "anywhere")
    monkeypatch.setitem(VARIANTS, "fp8-torch", (anywhere,))
    assert kernel_on(select("auto", "fp8-channel", torch.device("mps")), torch.device("mps", 0)) is anywhere
    assert not caplog.text
