"""benchmarks/dit_schemes.py keeps what was measured whatever becomes of a format's process."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import dit_schemes
import dit_step
import host
import pytest
import random_wan
from lightquant.formats import FORMATS
from lightquant.schemes import SCHEMES


def test_every_scheme_is_measured_once_under_its_format_after_bf16():
    groups = dit_schemes.grouped(None)
    assert next(iter(groups)) == dit_schemes.BF16
    assert sorted(name for format_name in FORMATS for name in groups[format_name]) == sorted(SCHEMES)
    assert dit_schemes.grouped(["int8-torch"]) == {"bf16": ["bf16"], "int8-channel": ["int8-torch"]}
    assert list(dit_schemes.grouped(["int8-torch", "core-int8", "core-fp8+sdpa-cudnn"])) == ["bf16", "int8-channel", "core-int8", "core-fp8"]
    assert dit_schemes.grouped(["int8-torch+fuse", "bf16+sdpa-cudnn"]) == {"bf16": ["bf16", "bf16+sdpa-cudnn"], "int8-channel": ["int8-torch+fuse"]}


def test_a_file_can_be_made_of_every_format():
    assert set(random_wan.STORAGES) >= set(FORMATS)
    assert dit_step.storage("lightquant-int4-g128-marlin") == "int4-g128"
    assert dit_step.storage("core-fp8") == "core-fp8"
    assert dit_step.storage("lightquant-fp8-torch+sdpa-cudnn+fuse") == "fp8-channel"


def test_what_is_added_to_a_variant_is_on_its_model(models):
    import pipeline
    from lightquant.bridge.block_patches import replaced

    model = pipeline.load_dit("wan_t2v_fp8.safetensors")
    assert len(replaced(dit_step.with_added(model, "fuse"))) == 2
    assert not replaced(model)
    both = dit_step.with_added(dit_step.with_added(model, "share"), "compile")
    assert len(replaced(both)) == 2
    assert "torch_compile_kwargs" in both.model_options


def test_the_bf16_model_can_be_loaded_again_and_again(floats):
    """ComfyUI takes the tensors out of what it loads, and TorchCompileModel has it load a second one."""
    import pipeline

    tensors = dict(floats["dit"])
    first = dit_step.from_memory(tensors)
    factory, given = first.cached_patcher_init
    second = factory(*given, disable_dynamic=True)
    assert tensors.keys() == floats["dit"].keys()
    latents = [pipeline.sample(model, *[pipeline.conditioning(1)] * 2) for model in (first, dit_step.from_memory(tensors), second)]
    assert all(each.equal(latents[0]) for each in latents)


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Runs the script with processes that add a row, or die if their format is named; returns the result and the formats that began."""
    out, began = tmp_path / "result.json", []

    def run(*given: str, dies: str = "", clock=lambda: 0.0) -> tuple[dict, list[str]]:
        def process(command, check):
            format_name = command[command.index("--child") + 1]
            began.append(format_name)
            result = json.loads(out.read_text(encoding="utf-8"))
            result["rows"].append({"variant": format_name})
            out.write_text(json.dumps(result), encoding="utf-8")
            return SimpleNamespace(returncode=-11 if format_name == dies else 0)

        fixed = "--comfyui", "x", "--out", str(out), "--folder", str(tmp_path / "files"), "--commit", "0123456"
        monkeypatch.setattr(subprocess, "run", process)
        monkeypatch.setattr(dit_schemes.time, "perf_counter", clock)
        monkeypatch.setattr(sys, "argv", ["dit_schemes.py", *fixed, *given])
        dit_schemes.main()
        return json.loads(out.read_text(encoding="utf-8")), began

    return run


def test_a_process_that_dies_is_noted_and_the_next_format_begins(ran):
    result, began = ran("--schemes", "fp8-torch,int8-torch", dies="fp8-channel")
    assert began == ["bf16", "fp8-channel", "int8-channel"]
    assert result["failed"] == {"fp8-channel": "its process ended with -11"}
    assert [row["variant"] for row in result["rows"]] == began


def test_out_of_time_the_rest_is_listed(ran):
    ticks = iter(range(0, 10_000, 100))
    result, began = ran("--schemes", "fp8-torch,int8-torch", "--seconds", "250", clock=lambda: float(next(ticks)))
    assert began == ["bf16"]
    assert result["left_out"] == ["fp8-torch", "int8-torch"]


def test_the_folder_is_emptied_before_and_gone_after(ran, tmp_path):
    left = Path(tmp_path, "files", host.FOLDER, "old.safetensors")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"old")
    beside = Path(tmp_path, "files", "mine")
    beside.write_bytes(b"mine")
    ran("--schemes", "int8-torch")
    assert not left.parent.exists()
    assert beside.exists()
