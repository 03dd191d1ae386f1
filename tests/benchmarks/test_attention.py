"""benchmarks/attention.py runs where there is no GPU, and its errors are those of the kernels."""

import argparse
import json
import math
from pathlib import Path

import attention_plan
import layer_tables
import pytest
import torch
from lightquant.kernels.attention import KERNELS, reference
from recording import Recording
from table_texts import TEXTS
from whole_results import keeps_its_samples

import attention

CPU = torch.device("cpu")
NAMES = [each.name for each in attention_plan.SMALL.attentions]


def options(path: Path, **given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"require": "", "out": str(path), "commit": "0123456789", "device": CPU, "seconds": math.inf} | given))


def test_it_measures_every_attention_by_every_kernel_that_runs(tmp_path, capsys):
    path = tmp_path / "found.json"
    found = attention.run(attention_plan.SMALL, options(path, require="sdpa-flash=tiled"))
    assert json.loads(path.read_text()) == json.loads(json.dumps(found))
    assert {(row["name"], row["kernel"]) for row in found["rows"]} == {(name, kernel) for name in NAMES for kernel in ("comfyui", "sdpa-flash")}
    for row in found["rows"]:
        assert row["error"] < 0.004
        assert row["same_bits"]
        assert len(row["samples_ms"]) >= 5
    assert list(found["host_us"]) == ["sdpa-flash"]
    assert set(found["missing"]) == set(KERNELS) - {"sdpa-flash"}
    assert not found["failed"]
    keeps_its_samples(found)
    assert layer_tables.attention(found, TEXTS["en"]).count("\n| `") == len(NAMES) + 2
    attention.show(found)
    assert "14B 720p self" in capsys.readouterr().out


def test_what_was_required_and_does_not_run_ends_it(tmp_path):
    with pytest.raises(SystemExit, match="flash-attention-3 does not run: it needs an NVIDIA GPU"):
        attention.run(attention_plan.SMALL, options(tmp_path / "found.json", require="sdpa-flash,flash-attention-3"))


def test_what_there_was_no_time_for_is_listed(tmp_path):
    found = attention.run(attention_plan.SMALL, options(tmp_path / "found.json", seconds=-1))
    assert found["left_out"] == NAMES
    assert not found["rows"]


def test_a_kernel_that_refuses_or_fails_is_listed_and_the_others_measured(tmp_path, monkeypatch):
    kernel = Recording()
    monkeypatch.setitem(KERNELS, "sdpa-flash", (kernel,))
    monkeypatch.setattr(Recording, "attend", lambda self, call: fail() if call.k.shape[1] == 32 else reference.attention(call).to(call.q.dtype))
    monkeypatch.setattr(Recording, "takes_mask", False)
    plan = attention_plan.Plan(
        tuple(each for each in attention_plan.SMALL.attentions if each.name in ("14B 480p text", "keys masked", "width 64")), 0.1
    )
    found = attention.run(plan, options(tmp_path / "found.json"))
    assert found["refused"] == {"sdpa-flash": {"keys masked": "a mask"}}
    assert found["failed"] == {"sdpa-flash, 14B 480p text": "no kernel image"}
    assert found["host_us"]["sdpa-flash"] > 0
    assert {(row["name"], row["kernel"]) for row in found["rows"]} == {
        ("14B 480p text", "comfyui"), ("keys masked", "comfyui"), ("width 64", "comfyui"), ("width 64", "sdpa-flash"),
    }  # fmt: skip


def test_the_hosts_time_is_not_that_of_a_kernel_that_refuses_or_fails(tmp_path, monkeypatch):
    monkeypatch.setitem(KERNELS, "sdpa-flash", (Recording(),))
    monkeypatch.setattr(Recording, "can_run", lambda self, call: (False, "too short"))
    assert attention.run(attention_plan.SMALL, options(tmp_path / "found.json"))["host_us"] == {"sdpa-flash": None}
    monkeypatch.setattr(Recording, "can_run", lambda self, call: (True, ""))
    monkeypatch.setattr(Recording, "attend", lambda self, call: fail())
    found = attention.run(attention_plan.SMALL, options(tmp_path / "found.json"))
    assert found["host_us"] == {}
    assert found["failed"]["sdpa-flash, the host's time"] == "no kernel image"


def fail():
    raise RuntimeError("no kernel image\nand more")


@pytest.mark.parametrize("each", attention_plan.SMALL.attentions, ids=lambda each: each.name)
def test_the_error_is_that_of_the_rows_and_heads_compared(each):
    call = attention.operands(each, CPU)
    right = reference.attention(call)
    assert attention.error_of(call, right) < 1e-6
    assert attention.error_of(call, right.flip(2)) > 0.1
    assert attention.error_of(call, right.flip(1)) > 0.1
    assert attention.error_of(call, torch.full_like(right, math.nan)) == math.inf


def test_the_full_plan_is_wans():
    by_name = {each.name: each for each in attention_plan.FULL.attentions}
    assert len(by_name) == len(attention_plan.FULL.attentions)
    assert by_name["14B 480p self"].operations == pytest.approx(22e12, rel=0.01)
    assert (by_name["14B 720p text"].queries, by_name["14B 720p text"].keys) == (75600, 512)
