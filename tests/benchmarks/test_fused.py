"""benchmarks/fused.py measures what it says, on few rows."""

import json
import sys

import fused
import pytest
import torch


def test_both_ways_are_measured_and_as_exact(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fused.py", "--small", "--device", "cpu", "--out", str(tmp_path / "result.json")])
    with torch.inference_mode():
        fused.main()
    rows = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["coding"], row["step"]) for row in rows[:4]] == [("fp8", step) for step in fused.steps(4, None, torch.device("cpu"))]
    assert len(rows) == 4 * len(fused.CODINGS)
    for row in rows:
        assert row["errors"]["fused"] <= row["errors"]["separate"] * 1.01
        assert row["median_ms"]["fused"] > 0
        assert len(row["ms"]["fused"]) == len(row["ms"]["separate"])
    said = capsys.readouterr().out
    assert all(f"a block, {name}: " in said for name in fused.CODINGS)


@pytest.mark.parametrize("name", fused.CODINGS)
def test_the_bytes_are_those_of_what_is_read_and_written(name):
    step = fused.steps(8, fused.CODINGS[name], torch.device("cpu"))["norm and modulation"]
    rows = step.fused()
    assert step.moved == fused.WIDTH * (torch.bfloat16.itemsize + rows.values.element_size())
