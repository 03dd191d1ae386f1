"""Which attention kernel is taken where: names, orders, checks in a process of their own, reasons."""

import json
import sys

import pytest
import torch
from lightquant.errors import KernelError
from lightquant.kernels.attention import KERNELS, registry, select
from lightquant.kernels.attention.foreign import ForeignAttention
from lightquant.kernels.attention.order import order_of
from lightquant.kernels.checks import in_child, remembered
from lightquant.schemes import ATTENTIONS

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)

ARITHMETIC = {"right": "", "wrong": " * 1.02", "crashing": " * __import__('ctypes').string_at(0)"}


@pytest.fixture
def hopper(monkeypatch):
    """The GPU is an H200, as far as anybody asks."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))


@pytest.fixture
def works(hopper, monkeypatch):
    """Says of which kernels' addresses and names it is to be found that they run; all are installed."""

    def put(*able: str) -> None:
        for kernels in KERNELS.values():
            for kernel in kernels:
                name = kernel.address if isinstance(kernel, ForeignAttention) else kernel.name
                verdict = (name in able, f"{name} was tried")
                monkeypatch.setattr(type(kernel), "is_supported", lambda self, device, verdict=verdict: verdict)
        monkeypatch.setattr(registry, "check_all", lambda *_: {})

    return put


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a flash_attn whose attention is right, wrong or crashes, for this process and its children."""

    def put(how: str, version: str = "2.8.3") -> None:
        site = tmp_path / f"{how}-{version}"
        (site / "flash_attn").mkdir(parents=True)
        (site / "flash_attn" / "__init__.py").write_text(
            "from torch.nn.functional import scaled_dot_product_attention as attention\n"
            "def flash_attn_func(q, k, v, dropout_p, softmax_scale, causal):\n"
            "    q, k, v = (each.transpose(1, 2) for each in (q, k, v))\n"
            f"    return attention(q, k, v, scale=softmax_scale, enable_gqa=True).transpose(1, 2){ARITHMETIC[how]}\n"
        )
        (site / f"flash_attn-{version}.dist-info").mkdir()
        (site / f"flash_attn-{version}.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flash-attn\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", str(site))

    yield put
    sys.modules.pop("flash_attn", None)


@pytest.fixture
def flash2(monkeypatch):
    """FlashAttention-2, as if it had code for this device."""
    (kernel,) = KERNELS["flash-attention-2"]
    monkeypatch.setattr(type(kernel), "runs_on", lambda self, device: (True, "it does"))
    return kernel


def test_every_name_has_a_kernel_and_tells_whether_it_quantizes():
    assert list(KERNELS) == list(ATTENTIONS)
    for name, kernels in KERNELS.items():
        assert kernels
        assert {kernel.is_exact for kernel in kernels} == {ATTENTIONS[name].is_exact}


def test_the_report_has_a_reason_for_each():
    found = registry.report(CPU)
    assert list(found) == list(ATTENTIONS)
    assert [name for name, (runs, _) in found.items() if runs] == ["sdpa-flash"]
    assert all(why for _, why in found.values())


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 6), (8, 9), (10, 0), (12, 0)], ids=str)
def test_where_nothing_was_measured_auto_leaves_comfyuis_own(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    assert order_of(GPU) is None
    assert select("auto", GPU) == (None, "auto: none was measured on this device, so ComfyUI's own stays")


def test_on_the_cpu_and_on_amd_too(hopper, monkeypatch):
    assert select("auto", CPU).kernel is None
    monkeypatch.setattr(torch.version, "hip", "6.3")
    assert select("auto", GPU).kernel is None


def test_the_measured_order_holds_exact_kernels_and_says_on_what(hopper):
    order = order_of(GPU)
    assert order.kernels == ("flash-attention-3", "sdpa-cudnn")
    assert all(ATTENTIONS[name].is_exact for name in order.kernels)
    assert "noted by hand on an H200, to be measured by benchmarks/attention.py: 34.1 and 38.4 ms" in order.basis


@pytest.mark.parametrize(
    ("able", "taken"),
    [
        (["attention.flash3.OfVLLM", "attention.flash3.OfItsPackage", "sdpa-cudnn"], "FlashAttention-3 by vLLM's library"),
        (["attention.flash3.OfItsPackage", "sdpa-cudnn"], "FlashAttention-3 by flash_attn_interface"),
        (["sdpa-cudnn", "attention.sage.Sage"], "torch's SDPA by cuDNN"),
    ],
)
def test_auto_takes_the_first_of_the_order_that_runs(works, able, taken):
    works(*able)
    choice = select("auto", GPU)
    assert choice.kernel.variant == taken
    assert choice.why.startswith("auto: ")
    assert "noted by hand on an H200" in choice.why
    assert ("faster ones can't run here: flash-attention-3: attention.flash3.OfVLLM was tried" in choice.why) is (taken == "torch's SDPA by cuDNN")


def test_where_none_of_the_order_runs_comfyuis_own_stays_and_the_reasons_are_said(works):
    works("attention.sage.Sage", "sdpa-flash")
    kernel, why = select("auto", GPU)
    assert kernel is None
    assert "ComfyUI's own stays" in why
    assert "attention.flash3.OfItsPackage was tried" in why
    assert "sdpa-cudnn was tried" in why


def test_a_name_takes_its_kernel(works):
    works("attention.sage.Sage", "sdpa-cudnn")
    assert select("sage", GPU).kernel.name == "sage"


def test_a_missing_kernel_is_substituted_or_an_error_that_names_what_runs(works):
    works("sdpa-cudnn", "sdpa-flash")
    kernel, why = select("sage", GPU)
    assert kernel.name == "sdpa-cudnn"
    assert why.startswith("sage can't run here: attention.sage.Sage was tried; sdpa-cudnn stands in for it (auto: ")
    with pytest.raises(KernelError, match=r"The attention sage can't run here: .* on this machine: sdpa-cudnn, sdpa-flash\. Pick one") as problem:
        select("sage", GPU, may_substitute=False)
    assert '"missing_kernel"' in str(problem.value)


def test_where_none_runs_the_error_says_that_too(works):
    works()
    with pytest.raises(KernelError, match="none but ComfyUI's own"):
        select("sage", GPU, may_substitute=False)


def test_there_is_no_other_name():
    with pytest.raises(KernelError, match=r"There is no attention kernel sdpa-math\. The kernels are: auto, flash-attention-3"):
        select("sdpa-math", CPU)


def test_what_is_not_installed_says_how_to_get_it(hopper):
    kernel, why = select("sage", GPU)
    assert kernel is None or kernel.name == "sdpa-cudnn"
    assert "SageAttention is not installed (pip install --no-deps sageattention==1.0.6" in why


def test_a_package_is_checked_in_a_process_of_its_own_and_remembered(install, flash2, monkeypatch):
    install("right")
    kernel, why = select("flash-attention-2", CPU)
    assert kernel is flash2, why
    assert "flash_attn 2.8.3 (" in why
    assert "of 0.004 allowed in 12 attentions" in why
    (known,) = json.loads(remembered.path().read_text())
    assert all(part in known for part in ("attention.flash2.Flash2", "2.8.3", torch.__version__))
    monkeypatch.setattr(in_child.subprocess, "run", None)
    assert select("flash-attention-2", CPU).kernel is flash2


@pytest.mark.parametrize(("how", "said"), [("wrong", "it is wrong: relative error 0.02"), ("crashing", "ended the process that ran it")])
def test_one_that_is_wrong_or_crashes_is_not_taken_and_the_reason_said(install, flash2, how, said):
    install(how)
    kernel, why = select("flash-attention-2", CPU)
    assert kernel is None
    assert said in why


def test_a_wrong_one_of_torchs_own_is_not_taken(monkeypatch):
    from lightquant.kernels.attention import sdpa

    kernel = sdpa.FlashOnCPU()
    monkeypatch.setattr(sdpa, "sdpa", lambda q, k, v, mask, scale, backend: q * 1.0)
    works, why = kernel.is_supported(CPU)
    assert not works
    assert "is wrong here: relative error" in why
