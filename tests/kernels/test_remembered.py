"""What checks have found, and forgetting it."""

import pytest
import torch
from lightquant.errors import KernelError
from lightquant.kernels.checks import remembered
from lightquant.kernels.checks.finding import Finding
from lightquant.kernels.foreign.packages import Found
from lightquant.texts import catalogue

FOUND = Finding(True, "it was right", 0.002)


def test_what_is_remembered_outlives_the_process(monkeypatch):
    remembered.remember({"a": FOUND})
    monkeypatch.setattr(remembered, "_here", {})
    assert remembered.recall("a") == FOUND


def test_a_failure_of_an_earlier_start_says_so_and_how_to_check_again(monkeypatch):
    remembered.remember({"a": Finding(False, "it fails: no kernel image is available")})
    assert remembered.recall("a").why == "it fails: no kernel image is available"
    monkeypatch.setattr(remembered, "_here", {})
    why = remembered.recall("a").why
    assert why.startswith("it fails: no kernel image is available; that was found at an earlier start")
    assert "lightquant doctor --recheck" in why
    said = catalogue("zh").translate(why)
    assert said.startswith("运行失败：no kernel image is available")
    assert "以前启动时" in said


def test_another_driver_or_triton_is_asked_again(monkeypatch, tmp_path):
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    keys = []
    for driver, triton in (("550.1", "3.6.0"), ("580.2", "3.6.0"), ("580.2", "3.7.0"), ("580.2", None)):
        monkeypatch.setattr(remembered, "driver", lambda driver=driver: driver)
        monkeypatch.setattr(remembered, "find", lambda package, triton=triton: triton and Found("triton", str(tmp_path), triton))
        keys.append(remembered.key("vllm.FP8", "vllm 1", device))
    assert len(set(keys)) == 4
    assert "NVIDIA H200 9.0 | driver 550.1" in keys[0]
    assert keys[3] == remembered.key("vllm.FP8", "vllm 1", device)
    assert "driver" not in remembered.key("vllm.FP8", "vllm 1", torch.device("cpu"))


def test_what_says_nothing_of_the_kernel_is_not_remembered():
    remembered.remember({"a": FOUND._replace(lasting=False)})
    assert remembered.recall("a") is None
    assert not remembered.path().exists()


@pytest.mark.parametrize("kept", ['{"a": 1}', '{"a": {"worked": true}}', "[]", "{"])
def test_what_another_hand_has_written_is_not_known(kept):
    remembered.path().parent.mkdir(parents=True)
    remembered.path().write_text(kept, encoding="utf-8")
    assert remembered.recall("a") is None


def test_what_is_forgotten_is_not_recalled():
    remembered.remember({"a": FOUND})
    assert remembered.recall("a") == FOUND
    remembered.forget()
    assert remembered.recall("a") is None
    remembered.forget()


def test_what_cant_be_forgotten_is_an_error_that_names_the_file():
    remembered.path().mkdir(parents=True)
    with pytest.raises(KernelError, match="can't be forgotten") as problem:
        remembered.forget()
    assert str(remembered.path()) in str(problem.value)
