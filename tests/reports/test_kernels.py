"""The kernel report: true on this machine, and about packages that are there, absent, wrong or of another version."""

import json
import subprocess
import sys

import pytest
import torch
from lightquant.formats import FORMATS
from lightquant.kernels import check_all, quantize_groups, quantize_rows, rescale
from lightquant.kernels.checks import in_child, numeric, once, remembered
from lightquant.kernels.checks.finding import Finding
from lightquant.kernels.foreign.kernel import ForeignKernel
from lightquant.kernels.foreign.packages import Package, torch_release
from lightquant.kernels.registry import VARIANTS
from lightquant.kernels.torchao import TorchAO
from lightquant.reports import machine
from lightquant.reports.kernels import kernel_report, known_report, to_json
from lightquant.reports.kernels_text import to_text
from lightquant.schemes import ATTENTIONS, SCHEMES

CPU = torch.device("cpu")

TORCHAO = """
import torch
def int_scaled_matmul(a, b, scales):
    return FACTOR * torch._int_mm(a, b).float() * scales
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Installs packages (name, version, code of its module `kernel`) into a folder that this process and its children look in first."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    installed = []

    def add(name: str, version: str, code: str = "") -> None:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
        (folder / name / "kernel.py").write_text(code)
        metadata = folder / f"{name}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        installed.append(name)

    add.folder = folder
    yield add
    for name in [name for name in sys.modules if name.split(".")[0] in installed]:
        del sys.modules[name]


def pretended(name: str, able: bool = True, versions: dict | None = None) -> ForeignKernel:
    """A kernel of a package of that name, whose device this is or is not."""

    class Pretended(ForeignKernel):
        format, variant = "fp8-channel", f"{name}'s product"
        package = Package(name, (name,), name, {torch_release(): f"{name}==2.0"} if versions is None else versions)

        def runs_on(self, device):
            return able, "it may" if able else f"{name} has nothing for it"

        def load(self, found, device):
            pass

        def quantize(self, x):
            raise NotImplementedError

        def matmul(self, rows, weight, bias, out_dtype):
            raise NotImplementedError

        address = property(lambda self: name)

    Pretended.name = "fp8-vllm"
    return Pretended()


@pytest.fixture
def kernels(monkeypatch):
    """Puts kernels behind fp8-vllm, and answers for their checks instead of a child process; gives what was asked, call by call."""
    asked = []

    def put(*variants: ForeignKernel, **finding) -> list:
        def findings(kernels, device):
            asked.append([address for address, _ in kernels])
            return {address: Finding(True, "it was right", 0.002)._replace(**finding) for address, _ in kernels}

        monkeypatch.setattr(in_child, "findings", findings)
        monkeypatch.setitem(VARIANTS, "fp8-vllm", variants)
        return asked

    return put


def row_of(report, scheme: str = "fp8-vllm"):
    return next(row for row in report.kernels if row.scheme == scheme)


def test_what_it_says_of_this_machine_is_true():
    report = kernel_report(CPU, "0.0.1")
    assert report.checked
    assert [row.scheme for row in report.kernels] == list(SCHEMES)
    assert all((row.format, row.hardware) == (SCHEMES[row.scheme].format, SCHEMES[row.scheme].runs_on) for row in report.kernels)
    for scheme in ("fp8-vllm", "int8-sgl", "int4-g128-marlin", "fp8-b128-deepgemm"):
        row = row_of(report, scheme)
        assert (row.available, row.variant, row.error, row.install) == (False, "", None, None)
        assert row.package == SCHEMES[scheme].package
        assert "needs an NVIDIA GPU, this is the CPU" in row.why
    for format_name in FORMATS:
        row = row_of(report, f"{format_name.removesuffix('-channel')}-torch")
        assert (row.available, row.package, row.version, row.install) == (True, "torch", torch.__version__, None)
        assert row.variant in row.why
        assert torch.__file__.startswith(row.where)
        assert 0 < row.error <= 0.004
    environment = report.environment
    assert (environment.comfyui, environment.torch, environment.device, environment.memory) == ("0.0.1", torch.__version__, "cpu", None)
    assert environment.executable == sys.executable


def test_it_ends_with_what_auto_takes_for_every_format():
    report = kernel_report(CPU)
    assert [each.format for each in report.auto] == list(FORMATS)
    for each in report.auto:
        row = row_of(report, each.scheme)
        assert row.available
        assert row.format == each.format
        assert each.variant == row.variant
        assert each.why.startswith(row.why)
    last = to_text(report).split("auto takes\n")[1].splitlines()
    assert [line.split()[:2] for line in last if not line.startswith("   ")] == [[each.format, f"{each.scheme}:"] for each in report.auto]


def test_text_and_json_hold_everything(site, kernels):
    long = "because of this and that, " * 40
    site("there", "1.5")
    kernels(pretended("there"), works=False, why=long)
    report = kernel_report(CPU, "0.0.1")
    assert json.loads(to_json(report)) == json.loads(json.dumps(report.as_dict()))
    text = to_text(report)
    assert max(map(len, text.splitlines())) <= 150
    words = " ".join(text.split())
    assert long.strip() in words
    environment = report.environment
    for said in (environment.lightquant, environment.python, environment.system, environment.torch, environment.triton, environment.name, "0.0.1"):
        assert said in words
    assert str(remembered.path()) in words
    assert f"install {row_of(report).install}" in words
    assert f"found in {site.folder / 'there'}" in words
    for row in report.kernels:
        assert f"\n{row.scheme} " in text
        assert row.why in words


@pytest.mark.parametrize(("factor", "version", "works"), [(1, "0.17.0", True), (1.25, "0.16.0", False)])
def test_an_installed_package_is_found_checked_in_a_process_and_told_with_its_figures(site, monkeypatch, factor, version, works):
    monkeypatch.setattr("lightquant.kernels.torchao.cpu_has_int8_dot_products", lambda: True)
    monkeypatch.setattr(TorchAO, "package", TorchAO.package._replace(versions={torch_release(): "torchao==0.17.0"}))
    site("torchao", version, TORCHAO.replace("FACTOR", str(factor)))
    row = row_of(kernel_report(CPU), "int8-torchao")
    assert (row.available, row.package, row.version, row.where) == (works, "torchao", version, str(site.folder / "torchao"))
    assert (0 < row.error <= 0.004) if works else (0.2 < row.error < 0.3)
    assert ("relative error at most" if works else "it is wrong: relative error") in row.why
    assert row.install == (None if works else "pip install --no-deps torchao==0.17.0")
    known = known_report(CPU)
    assert row_of(known, "int8-torchao") == row
    assert not known.checked


def test_packages_that_are_there_are_checked_together_and_no_others(site, kernels, monkeypatch):
    site("first", "1")
    site("second", "1")
    site("elsewhere", "1")
    asked = kernels(pretended("first"), pretended("absent"), pretended("elsewhere", able=False))
    monkeypatch.setitem(VARIANTS, "int8-vllm", (pretended("second"),))
    findings = check_all(CPU)
    assert asked == [["first", "second"]]
    assert set(findings) == {"first", "second"}


def test_nothing_to_check_starts_no_process(kernels):
    assert check_all(CPU) == {}
    asked = kernels(pretended("absent"))
    assert check_all(CPU) == {}
    assert asked == []


def test_of_several_variants_the_one_that_runs_is_told_with_why_the_better_ones_do_not(site, kernels):
    site("second", "3")
    kernels(pretended("first", able=False), pretended("second"), pretended("third"))
    row = row_of(kernel_report(CPU))
    assert (row.available, row.variant, row.package, row.version, row.error) == (True, "second's product", "second", "3", 0.002)
    assert "it was right; first has nothing for it" in row.why
    assert row.install is None


def test_of_several_variants_that_cant_run_all_reasons_are_told(site, kernels):
    site("third", "3")
    kernels(pretended("first", able=False), pretended("second"), pretended("third"), works=False, why="it crashed", error=None)
    row = row_of(kernel_report(CPU))
    assert (row.available, row.variant, row.package, row.version) == (False, "", "third", "3")
    for reason in ("first has nothing for it", "second is not installed", "it crashed"):
        assert reason in row.why
    assert row.install == "pip install --no-deps second==2.0"


@pytest.mark.parametrize(
    ("installed", "versions", "command"),
    [
        (None, {torch_release(): "some==2.0"}, "pip install --no-deps some==2.0"),
        (None, {"0.1": "some==2.0"}, f"no version of some is known to fit torch {torch_release()}; known: torch 0.1"),
        ("1.0", {torch_release(): "some==2.0"}, "pip install --no-deps some==2.0"),
        ("2.0", {torch_release(): "some==2.0"}, None),
    ],
)
def test_what_would_install_it(site, kernels, installed, versions, command):
    if installed:
        site("some", installed)
    kernels(pretended("some", versions=versions), works=False)
    assert row_of(kernel_report(CPU)).install == command


def test_an_error_that_is_no_number_is_none_in_the_json(site, kernels):
    site("some", "1")
    kernels(pretended("some"), works=False, why="relative error nan", error=float("nan"))
    report = kernel_report(CPU)
    assert row_of(report).error is None
    assert "NaN" not in to_json(report)


def test_a_full_device_is_not_taken_for_a_kernel_that_cant_run(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(VARIANTS["fp8-torch"][-1], "is_supported", full, raising=False)
    report = kernel_report(CPU)
    row = row_of(report, "fp8-torch")
    assert (row.available, row.error) == (None, None)
    assert "no memory left" in row.why
    auto = next(each for each in report.auto if each.format == "fp8-channel")
    assert auto.scheme is None
    assert "no memory left" in auto.why


def test_a_card_that_others_fill_costs_a_row_its_figure_alone(monkeypatch):
    def full(*_):
        raise RuntimeError("CUDA error: out of memory")

    kernel_report(CPU)
    monkeypatch.setattr(numeric, "error_of", full)
    row = row_of(kernel_report(CPU), "fp8-torch")
    assert (row.available, row.error) == (True, None)


def test_what_is_known_is_told_without_running_anything(site, monkeypatch):
    def never(*_, **__):
        raise AssertionError("something was run")

    site("known", "1")
    site("unknown", "1")
    kernel = pretended("known")
    finding = Finding(True, "it was right", 0.002)
    remembered.remember({remembered.key(kernel.address, kernel.found().described, CPU): finding})
    monkeypatch.setitem(VARIANTS, "fp8-vllm", (kernel,))
    monkeypatch.setitem(VARIANTS, "int8-vllm", (pretended("unknown"),))
    monkeypatch.setitem(VARIANTS, "fp8-sgl", (pretended("absent"),))
    monkeypatch.setattr(subprocess, "Popen", never)
    monkeypatch.setattr(numeric, "error_of", never)
    monkeypatch.setattr(ForeignKernel, "is_supported", never)
    report = known_report(CPU)
    assert not report.checked
    assert (row_of(report).available, row_of(report).error, row_of(report).variant) == (True, 0.002, "known's product")
    assert (row_of(report, "int8-vllm").available, row_of(report, "int8-vllm").version) == (None, "1")
    assert (row_of(report, "fp8-sgl").available, row_of(report, "fp8-sgl").install) == (False, "pip install --no-deps absent==2.0")
    assert (row_of(report, "fp8-torch").available, row_of(report, "fp8-torch").version) == (None, torch.__version__)
    assert {each.scheme for each in report.auto} == {None}
    assert "not checked" in to_text(report)


def test_a_recheck_forgets_first(monkeypatch):
    checks = []
    monkeypatch.setattr(numeric, "error_of", lambda *given: checks.append(given[0].name) or 0.001)
    kernel_report(CPU, recheck=True)
    first = len(checks)
    remembered.remember({"a": Finding(True, "it was right")})
    kernel_report(CPU)
    assert remembered.recall("a")
    again = len(checks) - first
    kernel_report(CPU, recheck=True)
    assert remembered.recall("a") is None
    assert len(checks) - first - again == first > again
    once.forget()


@pytest.mark.parametrize(
    ("module", "ask"),
    [
        (quantize_rows, lambda: quantize_rows.triton_quantizer(CPU, torch.int8)),
        (quantize_groups, lambda: quantize_groups.triton_quantizer(CPU)),
        (rescale, lambda: rescale.triton_rescale(CPU)),
    ],
)
def test_a_recheck_forgets_what_triton_was_found_good_for(monkeypatch, module, ask):
    answers = iter(("broken", "mended"))
    monkeypatch.setattr(module.jit, "if_right", lambda *_: next(answers))
    once.forget()
    assert (ask(), ask()) == ("broken", "broken")
    kernel_report(CPU, recheck=True)
    assert ask() == "mended"
    once.forget()


def test_progress_counts_up_and_says_what_comes():
    seen = []
    kernel_report(CPU, progress=lambda *given: seen.append(given))
    total = 1 + len(SCHEMES) + len(ATTENTIONS)
    assert [(done, of) for done, of, _ in seen] == [(step, total) for step in range(total + 1)]
    assert [what for *_, what in seen][1:-1] == [*SCHEMES, *ATTENTIONS]


def test_without_triton_the_report_says_how_to_get_the_one_for_this_torch(monkeypatch):
    find = machine.find
    monkeypatch.setattr(machine, "find", lambda package: None if package is machine.TRITON else find(package))
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["numpy", 'triton==3.6.0; platform_system == "Linux"'])
    assert machine.environment(CPU, "").triton == "not installed (pip install --no-deps triton==3.6.0)"
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["numpy"])
    assert machine.environment(CPU, "").triton == "not installed"
    monkeypatch.setattr(sys, "platform", "win32")
    assert machine.install_triton() == "pip install --no-deps triton-windows"


@pytest.mark.gpu
def test_a_gpu_is_told_with_its_driver():
    environment = machine.environment(torch.device("cuda", 0), "")
    said = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout
    assert environment.driver == said.splitlines()[0].strip()
    assert environment.name == torch.cuda.get_device_name(0)
    assert environment.capability.startswith("sm_")
    assert environment.memory > 2**30


def test_it_has_every_attention_kernel_with_its_reason():
    report = kernel_report(CPU)
    assert [row.scheme for row in report.attention] == list(ATTENTIONS)
    assert [row.scheme for row in report.attention if row.available] == ["sdpa-flash"]
    assert [row.scheme for row in report.attention if row.format == "approximate"] == ["sage", "int8-kitchen"]
    for row in report.attention:
        assert row.why
        assert (row.error is not None) is bool(row.available)
    assert report.auto_attention == "ComfyUI's own: none was measured on this device, so ComfyUI's own stays"
    words = " ".join(to_text(report).split())
    assert f"auto {report.auto_attention} auto takes" in words
    assert "sdpa-flash exact runs torch" in words


def test_of_attention_too_nothing_runs_for_what_is_known(monkeypatch):
    monkeypatch.setattr(in_child.subprocess, "run", None)
    report = known_report(CPU)
    assert {row.available for row in report.attention} == {None, False}
    assert report.auto_attention == "not checked yet"
