"""benchmarks/fused.py measures what it says, on few rows."""

import json
import sys

import fused
import layer_tables
import pytest
import torch
from table_texts import TEXTS
from whole_results import keeps_its_samples, says_where_it_comes_from


def test_both_ways_are_measured_and_as_exact(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fused.py", "--small", "--device", "cpu", "--out", str(tmp_path / "result.json")])
    with torch.inference_mode():
        fused.main()
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    says_where_it_comes_from(result, needs_comfyui=False)
    keeps_its_samples(result)
    assert result["fused_by"] == "torch"
    rows, ways = result["rows"], (fused.SEPARATE, fused.FUSED)
    steps = fused.steps(4, None, torch.device("cpu"))
    first = rows[: len(ways) * len(steps)]
    assert [(row["coding"], row["step"], row["way"]) for row in first] == [("fp8", step, way) for step in steps for way in ways]
    assert len(rows) == len(ways) * len(steps) * len(fused.CODINGS)
    for separate, in_one in zip(rows[::2], rows[1::2], strict=True):
        assert in_one["error"] <= separate["error"] * 1.01
        assert len(in_one["samples_ms"]) == len(separate["samples_ms"])
    assert layer_tables.fused(result, TEXTS["en"]).count("\n| ") == len(steps) + 3
    said = capsys.readouterr().out
    assert all(f"a block, {name}: " in said for name in fused.CODINGS)


@pytest.mark.parametrize("name", fused.CODINGS)
def test_the_bytes_are_those_of_what_is_read_and_written(name):
    step = fused.steps(8, fused.CODINGS[name], torch.device("cpu"))["norm and modulation"]
    rows = step.fused()
    assert step.moved == fused.WIDTH * (torch.bfloat16.itemsize + rows.values.element_size())


def test_on_a_gpu_without_the_triton_kernels_nothing_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fused.py", "--out", str(tmp_path / "result.json")])
    monkeypatch.setattr(fused, "triton_fused", lambda device: None)
    with pytest.raises(SystemExit, match="do not work here"):
        fused.main()
