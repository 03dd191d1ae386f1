"""What every result of a benchmark has to have."""

import re
import statistics

import pytest

MEDIANS = {"step_s": "median_step_s", "samples_ms": "median_ms", "samples_s": "median_s"}
"""What holds a row's samples -> what holds their median."""


def says_where_it_comes_from(result: dict, needs_comfyui: bool) -> None:
    environment = result["environment"]
    assert re.fullmatch(r"[0-9a-f]{7,40}", environment["commit"])
    assert all(environment[key] for key in ("command", "gpu", "torch"))
    assert environment["comfyui"] or not needs_comfyui
    assert result["rows"]


def keeps_its_samples(result: dict) -> None:
    for row in result["rows"]:
        kind = next(kind for kind in MEDIANS if kind in row)
        assert len(row[kind]) > 1
        assert statistics.median(row[kind]) == pytest.approx(row[MEDIANS[kind]])
