"""Foreign packages: found without an import, checked in a child process, remembered."""

import json
import sys
from pathlib import Path

import pytest
import torch
from lightquant.formats import INT8_CHANNEL
from lightquant.kernels import torchao
from lightquant.kernels.checks import in_child, remembered
from lightquant.kernels.devices import capability, nvidia
from lightquant.kernels.foreign import packages

CPU = torch.device("cpu")

RIGHT = "return (a.int() @ b.int()).float() * scales1"
PRODUCTS = {
    "right": RIGHT,
    "wrong": RIGHT + " * 1.02",
    "raising": "raise RuntimeError('no kernel image is available')",
    "crashing": "import ctypes; ctypes.string_at(0)",
    "out of memory": "import torch; raise torch.OutOfMemoryError('CUDA out of memory')",
    "out of memory beside others": "raise RuntimeError('CUDA error: out of memory')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "noisy": "print('{\"hello\": 1}', flush=True); " + RIGHT,
    "slow": "import time; time.sleep(600)",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a torchao whose product does one of PRODUCTS, for this process and its children."""

    def put(product: str, version: str = "0.17.0") -> Path:
        site = tmp_path / f"site-{product}-{version}"
        (site / "torchao" / "kernel").mkdir(parents=True)
        (site / "torchao" / "__init__.py").touch()
        (site / "torchao" / "kernel" / "__init__.py").write_text(f"def int_scaled_matmul(a, b, scales1):\n    {PRODUCTS[product]}\n")
        (site / f"torchao-{version}.dist-info").mkdir()
        (site / f"torchao-{version}.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torchao\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", str(site))
        return site

    yield put
    for name in [name for name in sys.modules if name.split(".")[0] == "torchao"]:
        del sys.modules[name]


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setattr(torchao, "cpu_has_int8_dot_products", lambda: True)
    return torchao.TorchAO()


def test_a_package_is_found_with_its_version_and_not_imported(install):
    site = install("right")
    found = packages.find(torchao.TORCHAO)
    assert found == ("torchao", str(site / "torchao"), "0.17.0")
    assert "torchao" not in sys.modules


def test_what_is_not_installed_is_not_found_and_its_command_is_given(kernel):
    assert packages.find(torchao.TORCHAO) is None
    able, why = kernel.is_supported(CPU)
    assert not able
    assert packages.install(torchao.TORCHAO) in why


@pytest.mark.parametrize(
    ("package", "command"),
    [
        (packages.Package("p", ("p",), "p", {"0.0": "p==1"}), "no version of p is known to fit torch"),
        (packages.Package("p", ("p",), "p", {packages.torch_release(): "old-p==3"}), "pip install --no-deps old-p==3"),
        (packages.Package("p", ("p",), "p", {}, "build it"), "build it"),
    ],
)
def test_how_to_install(package, command):
    assert packages.install(package).startswith(command)


def test_what_has_no_build_for_this_system_is_not_to_be_installed(monkeypatch):
    monkeypatch.setattr(packages.sys, "platform", "win32")
    package = packages.Package("p", ("p",), "p", {packages.torch_release(): "p==3"}, linux_only=True)
    assert packages.install(package) == "p has no build for this system, only for Linux"


def test_a_kernel_that_is_right_runs_and_is_remembered(install, kernel, monkeypatch):
    install("right")
    able, why = kernel.is_supported(CPU)
    assert able, why
    assert "torchao 0.17.0" in why
    assert "relative error at most" in why
    x = torch.randn(20, 256)
    assert kernel.linear(x, INT8_CHANNEL.quantize(torch.randn(64, 256)), None).shape == (20, 64)
    (known,) = json.loads(remembered.path().read_text()).items()
    assert all(part in known[0] for part in ("torchao.TorchAO", "0.17.0", torch.__version__, "cpu"))
    monkeypatch.setattr(in_child.subprocess, "run", None)
    monkeypatch.setattr(remembered, "_here", {})  # as another process
    assert kernel.is_supported(CPU) == (able, why)


def test_another_version_is_checked_again(install, kernel):
    install("right")
    assert kernel.is_supported(CPU)[0]
    install("wrong", "0.18.0")
    assert not kernel.is_supported(CPU)[0]


@pytest.mark.parametrize(
    ("product", "said"),
    [
        ("wrong", "it is wrong: relative error 0.02"),
        ("raising", "it fails: no kernel image is available"),
        ("crashing", "ended the process that ran it (exit code -11)"),
    ],
)
def test_a_kernel_that_is_wrong_or_crashes_is_unavailable_with_the_reason(install, kernel, product, said):
    install(product)
    for _ in range(2):  # the second time from memory
        able, why = kernel.is_supported(CPU)
        assert not able
        assert said in why
    assert len(json.loads(remembered.path().read_text())) == 1


def test_what_a_package_prints_confuses_nothing(install, kernel):
    install("noisy")
    assert kernel.is_supported(CPU)[0]


def test_a_kernel_that_hangs_is_given_up(install, kernel, monkeypatch):
    install("slow")
    monkeypatch.setattr(in_child, "LONGEST_S", 15)
    able, why = kernel.is_supported(CPU)
    assert not able
    assert "its check ended the process that ran it (no answer in 15 s)" in why
    assert not remembered.path().exists(), "the machine may have been busy"
    monkeypatch.setattr(in_child.subprocess, "run", None)
    assert kernel.is_supported(CPU) == (able, why), "this process waits for it once"


def test_a_check_that_is_killed_from_outside_is_made_again(install, kernel):
    install("killed")
    able, why = kernel.is_supported(CPU)
    assert not able
    assert "its check ended the process that ran it (killed from outside, as systems do that run out of memory)" in why
    assert not remembered.path().exists()
    assert in_child.recalled([(kernel.address, kernel.found().described)], CPU) == {}


def test_after_a_crash_the_others_are_checked_in_a_new_process(install):
    install("crashing")
    found = in_child.findings([("torchao.TorchAO", "torchao"), ("vllm.FP8", "vllm")], CPU)
    assert "ended the process" in found["torchao.TorchAO"].why
    assert found["vllm.FP8"].why == "vllm is not installed"


def test_a_process_that_does_not_start_is_not_remembered(install, kernel, monkeypatch):
    install("right")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    able, why = kernel.is_supported(CPU)
    assert not able
    assert "no process could be started" in why
    assert not remembered.path().exists()


@pytest.mark.parametrize(("product", "said"), [("out of memory", "CUDA out of memory"), ("out of memory beside others", "CUDA error: out of memory")])
def test_a_lack_of_memory_is_not_remembered(install, kernel, product, said):
    install(product)
    able, why = kernel.is_supported(CPU)
    assert not able
    assert f"its check had no memory: {said}" in why
    assert not remembered.path().exists()


def test_a_damaged_or_unwritable_memory_is_no_failure(install, kernel, tmp_path, monkeypatch, caplog):
    install("right")
    remembered.path().parent.mkdir(parents=True)
    remembered.path().write_text("{")
    assert kernel.is_supported(CPU)[0]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(remembered, "_here", {})
    assert kernel.is_supported(CPU)[0]
    assert "can't keep what it found out" in caplog.text
    monkeypatch.setattr(in_child.subprocess, "run", None)
    assert kernel.is_supported(CPU)[0]


@pytest.mark.parametrize(
    ("lowest", "highest", "fits"), [((8, 9), None, True), ((9, 0), (9, 0), True), ((10, 0), None, False), ((7, 5), (8, 9), False)]
)
def test_capabilities(monkeypatch, lowest, highest, fits):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    able, why = nvidia(torch.device("cuda", 0), lowest, highest, "reasons")
    assert able is fits
    assert "sm_90" in why
    assert fits or "reasons" in why
    assert capability(CPU) is None
    assert nvidia(CPU, lowest, highest) == (False, "it needs an NVIDIA GPU, this is the CPU")
