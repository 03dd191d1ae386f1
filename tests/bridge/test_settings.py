"""What ComfyUI's settings dialog keeps of the pack's: the kernels that auto tries first."""

import json

import folder_paths
import pipeline
import pytest
import small_models
from lightquant.bridge.in_graph import quantize_model
from lightquant.bridge.kernels_here import last_report, make_report
from lightquant.bridge.record import record_of
from lightquant.bridge.settings import PREFERRED_KERNELS, preferred_kernels
from lightquant.kernels import VARIANTS, registry
from lightquant.kernels.contract import Kernel
from lightquant.kernels.foreign.packages import TORCH
from lightquant.kernels.order import Order
from lightquant.nodes.inspect import Inspect
from lightquant.nodes.loaders import LoadDiT
from lightquant.nodes.pair import LoadDiTPair
from lightquant.nodes.quantize import Quantize


@pytest.fixture
def prefer(tmp_path, monkeypatch):
    """Sets the preferred kernels; None unsets them."""
    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    file = tmp_path / "user" / "default" / "comfy.settings.json"
    file.parent.mkdir(parents=True)

    def put(value: object) -> None:
        file.write_text(json.dumps({} if value is None else {PREFERRED_KERNELS: value}))

    return put


class Expanding(Kernel):
    """Runs here by another name, as the kernel that does run."""

    format, package = "int8-channel", TORCH

    def __init__(self, name: str, runs: bool):
        self.name, self.runs, self.variant = name, runs, f"{name}'s product"
        self.real = VARIANTS["int8-torch"][-1]
        self.packings = self.real.packings

    def is_supported(self, device):
        return self.runs, self.variant if self.runs else f"{self.name} is not for this machine"

    def quantize(self, x):
        return self.real.quantize(x)

    def matmul(self, *given):
        return self.real.matmul(*given)


@pytest.fixture
def kernels(monkeypatch):
    """int8-vllm can't run, int8-sgl and int8-triton can; in auto's order they come in that order, before int8-torch."""
    order = Order(("int8-vllm", "int8-sgl", "int8-triton", "int8-torch"), "expected")
    real = registry.order_of
    monkeypatch.setattr(registry, "order_of", lambda name, device: order if name == "int8-channel" else real(name, device))
    for name in order.schemes[:3]:
        monkeypatch.setitem(VARIANTS, name, (Expanding(name, name != "int8-vllm"),))


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        (None, ()), ("", ()), (7, ()), (["int8-triton"], ()), ("int8-triton", ("int8-triton",)),
        (" Triton,  vllm ;int8-sgl", ("triton", "vllm", "int8-sgl")),
        ("sglang-kernel, q8_kernels", ("sglang-kernel", "q8_kernels")),
    ],
)  # fmt: skip
def test_how_it_is_written(prefer, setting, names):
    prefer(setting)
    assert preferred_kernels() == names


def test_what_means_nothing_is_named_once_and_passed_over(prefer, caplog):
    prefer("tritom, int8-sgl")
    assert [preferred_kernels() for _ in range(3)] == [("int8-sgl",)] * 3
    assert caplog.text.count("no scheme or kernel package is called tritom") == 1


def test_with_several_users_there_is_no_setting(prefer, monkeypatch):
    from comfy.cli_args import args

    prefer("int8-triton")
    monkeypatch.setattr(args, "multi_user", True)
    assert preferred_kernels() == ()


@pytest.mark.parametrize(
    ("setting", "taken", "said"),
    [
        (None, "int8-sgl", "faster ones can't run here: int8-vllm"),
        ("triton", "int8-triton", "auto: int8-triton's product; preferred in the settings"),
        ("vllm, int8-triton", "int8-triton", "preferred in the settings, where int8-vllm can't run"),
        ("int8-torch, int8-triton", "int8-torch", "preferred in the settings"),
        ("vllm", "int8-sgl", "preferred in the settings, but can't run here: int8-vllm"),
        ("fp8-triton, deepgemm", "int8-sgl", "faster ones"),
    ],
)
def test_auto_tries_what_is_preferred_first_and_says_so(models, kernels, prefer, setting, taken, said):
    prefer(setting)
    record = record_of(pipeline.load_dit("wan_t2v_int8.safetensors"))
    assert record.kernel == taken
    assert said in record.why
    assert ("preferred" in record.why) == ("preferred" in said)


def test_what_stands_in_for_a_missing_kernel_is_the_preferred_one(models, kernels, prefer):
    prefer("int8-triton")
    record = record_of(pipeline.load_dit("wan_t2v_int8.safetensors", scheme="int8-vllm"))
    assert record.kernel == "int8-triton"
    assert "int8-triton stands in for it (auto: int8-triton's product; preferred in the settings)" in record.why
    assert record_of(pipeline.load_dit("wan_t2v_int8.safetensors", scheme="int8-sgl")).kernel == "int8-sgl"


def test_a_second_copy_has_the_first_ones_kernel_whatever_is_set_by_then(models, kernels, prefer):
    prefer("int8-triton")
    patcher = pipeline.load_dit("wan_t2v_int8.safetensors")
    factory, arguments = patcher.cached_patcher_init
    prefer("int8-sgl")
    assert record_of(factory(*arguments)).kernel == "int8-triton"


def test_the_graph_runs_again_when_it_changes(models, floats, prefer, experts):
    values = {"scheme": "auto", "dtype": "auto", "missing_kernel": "substitute"}
    asks = {
        "loader": lambda: LoadDiT.fingerprint_inputs(**values, checkpoint="wan_t2v_int8.safetensors"),
        "pair": lambda: LoadDiTPair.fingerprint_inputs(**values, high_noise=experts[0], low_noise=experts[1]),
        "quantize": lambda: Quantize.fingerprint_inputs(scheme="int8-vllm", missing_kernel="substitute", scale="absmax"),
        "inspect": lambda: Inspect.fingerprint_inputs("diffusion_models/wan_t2v_int8.safetensors", False),
    }
    for ask in asks.values():
        seen = []
        for setting in (None, "int8-triton", "int8-sgl", None):
            prefer(setting)
            seen.append(ask())
            assert ask() == seen[-1]
        assert len(set(seen)) == 3
        assert seen[0] == seen[3]


@pytest.fixture
def experts(models):
    """The names of a pair's files."""
    names = [f"{expert}_noise_of_settings.safetensors" for expert in ("high", "low")]
    for seed, name in enumerate(names):
        small_models.save(small_models.quantized(small_models.dit(seed=seed), "dit", "int8-channel"), models / "diffusion_models" / name)
    yield names
    for name in names:
        (models / "diffusion_models" / name).unlink()


def test_a_model_of_the_graph_is_quantized_for_it(models, kernels, prefer):
    import nodes

    prefer("triton")
    model = nodes.UNETLoader().load_unet("wan_t2v.safetensors", "default")[0]
    assert quantize_model(model, "int8-vllm", "absmax", True).record.kernel == "int8-triton"


def test_the_reports_say_the_same_of_auto(models, kernels, prefer):
    prefer("triton")
    (row,) = (each for each in make_report(False).auto if each.format == "int8-channel")
    assert (row.scheme, row.why) == ("int8-triton", "int8-triton's product; preferred in the settings")
    prefer("sgl")
    assert [each.scheme for each in last_report().auto if each.format == "int8-channel"] == ["int8-sgl"]
    prefer("triton")
    text = Inspect.execute("diffusion_models/wan_t2v_int8.safetensors", False).args[0]
    assert "int8-triton: int8-triton's product; preferred in the settings" in " ".join(text.split())
