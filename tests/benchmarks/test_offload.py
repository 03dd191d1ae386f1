"""benchmarks/offload.py runs every way in a process of its own, keeps what was measured, and its parts say what they should."""

import argparse
import json
import subprocess
import sys
from types import SimpleNamespace

import offload_stress
import pipeline
import pytest
import torch
from lightquant.offload.settings import GRANULARITIES, Settings
from offload_variants import LIMITS, RESIDENT, WAYS
from offloading import lenders, offloaded

import offload


def options(**given) -> argparse.Namespace:
    return argparse.Namespace(**{"ways": None, "stress": False, "device": "cuda", **given})


def test_the_resident_model_comes_first_of_each_format():
    found = offload.wanted(options())
    assert list(found) == list(LIMITS)
    assert all(labels[0].endswith(f" {RESIDENT}") for labels in found.values())
    assert sorted(label for labels in found.values() for label in labels) == sorted(WAYS)


def test_on_the_cpu_only_what_runs_there_is_measured():
    labels = [label for labels in offload.wanted(options(device="cpu")).values() for label in labels]
    assert labels
    assert not any(WAYS[label].dynamic or WAYS[label].arguments for label in labels)


def test_the_ways_are_settings_of_the_node():
    for way in WAYS.values():
        chosen = {**offload.INPUTS, **(way.node or {})}
        assert set(chosen) == set(offload.INPUTS)
        assert chosen["granularity"] in GRANULARITIES
        Settings(chosen["vram"], chosen["keep"], chosen["granularity"])


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Runs the script with processes that give a row, or die if they are named; returns the result and what the processes were."""
    out, began = tmp_path / "result.json", []

    def run(*given: str, dies: str = "") -> tuple[dict, list[tuple[str, str]]]:
        def process(command, check, timeout):
            what, name = command[command.index("--child") + 1 :]
            began.append((what, name))
            part = command[len(command) - command[::-1].index("--out")]
            if what != "make" and name != dies:
                with open(part, "w", encoding="utf-8") as file:
                    json.dump({"variant": name, "environment": {}}, file)
            return SimpleNamespace(returncode=-9 if name == dies else 0)

        commit = "--commit", "0123456"
        monkeypatch.setattr(subprocess, "run", process)
        monkeypatch.setattr(sys, "argv", ["offload.py", "--comfyui", "x", "--out", str(out), "--folder", str(tmp_path / "files"), *commit, *given])
        offload.main()
        return json.loads(out.read_text(encoding="utf-8")), began

    return run


def test_a_process_that_dies_is_noted_and_the_next_way_begins(ran):
    result, began = ran("--ways", "fp8 blocks, pinned; fp8 resident; int4 blocks, from disk", dies="fp8 resident")
    assert [name for _, name in began] == ["fp8-channel", "fp8 resident", "fp8 blocks, pinned", "int4-g128", "int4 blocks, from disk"]
    assert result["failed"] == {"fp8 resident": "its process ended with -9"}
    assert [row["variant"] for row in result["rows"]] == ["fp8 blocks, pinned", "int4 blocks, from disk"]


def test_a_file_that_can_not_be_made_leaves_its_ways_out(ran):
    result, _ = ran("--ways", "fp8 blocks, pinned", dies="fp8-channel")
    assert result["left_out"] == ["fp8 blocks, pinned"]


def test_out_of_time_the_rest_is_listed(ran):
    result, _ = ran("--ways", "fp8 blocks, pinned", "--seconds", "1")
    assert result["left_out"] == ["fp8 blocks, pinned"]


def test_stress_finds_leaks_and_wrong_pictures(models, monkeypatch):
    """A leak of 10 % and one wrong picture in eight runs are put in."""
    import dit_step

    runs, figures = [0], iter(({"host_gib": 10.0}, {"host_gib": 11.0}))

    def sample(model, seed, steps, options, heavy):
        latents = pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2), steps=1, cfg=1.0)
        runs[0] += 1
        return latents + (runs[0] == 9), None, [0.0, 1.0]

    monkeypatch.setattr(dit_step, "sample", sample)
    model = pipeline.load_dit("wan_t2v_fp8.safetensors")
    found = offload_stress.run(lambda: offloaded(model), lambda: next(figures), options(runs=8, seconds=float("inf")))
    assert (found["runs"], found["raised"], found["accidents_to_raise"]) == (8, 4, 4)
    assert found["wrong_pictures"] == 1
    assert found["leaks"] == {"host_gib": 1.0}
    assert not found["within_1_percent"]
    assert not lenders(model)
    assert torch.is_inference_mode_enabled()
