"""The scripts that sample run on the CPU with small models; what they write is a whole result, and has its table in both languages."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import children
import dit_schemes
import dit_step
import encoders
import pytest
import start
import tables
from table_texts import TEXTS
from whole_results import keeps_its_samples, says_where_it_comes_from

import convert
import lora
import offload

SIZES = "--blocks", "2", "--latent", "2", "8", "8", "--device", "cpu"


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Runs a script whose children run in this process; an exception in one is a child that dies. Returns the result."""
    import host
    from comfy.cli_args import args

    folder, real = Path(sys.modules["comfy"].__path__[0]).parent, subprocess.run
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(args, "cpu", args.cpu)

    def end() -> None:
        raise SystemExit(0)

    def run(script: ModuleType, *given: str, name: str = "") -> dict:
        out = tmp_path / f"{name or script.__name__}.json"

        def process(command, **how):
            if command[0] != sys.executable:
                return real(command, **how)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "argv", command[1:])
                try:
                    script.main()
                except SystemExit as ended:
                    return SimpleNamespace(returncode=ended.code)
                except RuntimeError:
                    return SimpleNamespace(returncode=1)
            raise AssertionError("a child went on as the script itself")

        monkeypatch.setattr(subprocess, "run", process)
        monkeypatch.setattr(children, "end", end)
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", "--out", str(out), "--folder", str(tmp_path / "files"), *given])
        if script is not convert:
            sys.argv += ["--comfyui", str(folder)]
        with contextlib.suppress(SystemExit):
            script.main()
        assert not (tmp_path / "files" / host.FOLDER).exists()
        return json.loads(out.read_text(encoding="utf-8"))

    return run


def check(result: dict, name: str, *variants: str) -> None:
    """Whole, with a row of each variant, and a table with as many rows."""
    says_where_it_comes_from(result, needs_comfyui=True)
    keeps_its_samples(result)
    assert [row.get("variant") or row["way"] for row in result["rows"]] == list(variants)
    has_its_table(result, name)


def has_its_table(result: dict, name: str) -> None:
    kind = next(kind for kind in tables.KINDS if kind.mark in name)
    for texts in TEXTS.values():
        text = kind.render(result, texts)
        assert text.count("\n| `") + text.count(f"\n| {texts['t5']}") + text.count(f"\n| {texts['clip']}") == len(result["rows"])


def test_schemes_beside_cores_own(ran):
    asked = "fp8-torch+fuse,core-fp8,bf16+sdpa-flash,fp8-torch+flash-attention-3"
    result = ran(dit_schemes, *SIZES, "--schemes", asked, "--profile", "core-fp8", "--attention", "sdpa-flash")
    check(result, "dit_schemes", "bf16", "bf16+sdpa-flash", "fp8-torch+fuse", "core-fp8")
    assert list(result["failed"]) == ["fp8-torch+flash-attention-3"]
    assert [row["attention"] for row in result["rows"]] == ["comfyui", "sdpa-flash", "sdpa-flash", "comfyui"]
    bf16, _, ours, core = result["rows"]
    assert bf16["cosine_of_latents"] == pytest.approx(1)
    assert 0.99 < core["cosine_of_latents"] < 1
    assert 0 < ours["mean_error"] < 0.05
    assert core["profile"]["products_s"] > 0
    assert "profile" not in ours


def test_steps_without_bf16_named_have_it_first_and_one_that_dies_is_noted(ran, monkeypatch):
    load = dit_step.load

    def dying(variant: str, *given):
        if variant == "core-int8":
            raise RuntimeError("dies")
        return load(variant, *given)

    monkeypatch.setattr(dit_step, "load", dying)
    result = ran(dit_step, *SIZES, "--seeds", "1", "--variants", "core-int8", "lightquant-fp8-torch")
    check(result, "dit_step", "bf16", "lightquant-fp8-torch")
    assert result["failed"] == {"core-int8, gaussian": "its process ended with 1"}
    assert [len(row["errors_of_predictions"]) for row in result["rows"]] == [2, 2]


def test_what_there_is_no_time_for_is_listed(ran):
    assert ran(dit_step, *SIZES, "--seconds", "1")["left_out"] == [f"{variant}, gaussian" for variant in dit_step.VARIANTS]
    assert ran(start, *SIZES, "--seconds", "1", "--starts", "1")["left_out"] == list(start.VARIANTS)


def test_starts_take_turns_and_no_more_files_are_there_than_a_disk_holds(ran, monkeypatch):
    from comfy.quant_ops import QUANT_ALGOS

    if "int8_tensorwise" not in QUANT_ALGOS:
        pytest.skip("this ComfyUI has no int8 of its own")
    present, real = [], start.start

    def counted(variant, options):
        present.append(len(list(Path(options.folder).glob("*/*.safetensors"))) + len(list(Path(options.folder).glob("*/*_split"))))
        return real(variant, options)

    monkeypatch.setattr(start, "start", counted)
    result = ran(start, *SIZES, "--starts", "2")
    check(result, "start", *start.VARIANTS)
    assert present == [3] * 6 + [2] * 4


def test_lora_in_two_ways_of_which_one_fails(ran, monkeypatch):
    monkeypatch.setitem(lora.WAYS, "baked", (lambda model, path: {}["nothing"], False))
    result = ran(lora, *SIZES, "--rank", "4", "--ways", "without; beside, of three; baked", "--attention", "sdpa-flash")
    check(result, "lora", "without", "beside, of three")
    assert list(result["failed"]) == ["baked"]


def test_offloaded_steps_and_stress(ran):
    result = ran(offload, *SIZES, "--ways", "int4 blocks, pinned; int4 resident", "--attention", "sdpa-flash")
    check(result, "offload", "int4 resident", "int4 blocks, pinned")
    assert all(row["identical_to_resident"] for row in result["rows"])
    stressed = ran(offload, *SIZES, "--ways", "int4 blocks, pinned", "--stress", "--runs", "4", name="stress")
    check(stressed, "offload_stress", "int4 blocks, pinned")
    assert stressed["rows"][0]["raised"] == 2


def test_the_process_of_stress_ends_before_it_is_killed(ran, monkeypatch):
    seen = {}

    def run(part, what, name, more=(), seconds=0.0):
        seen[what] = seconds, [*more]
        return {} if what == "make" else "stopped"

    monkeypatch.setattr(children, "run", run)
    result = ran(offload, *SIZES[:2], "--device", "cpu", "--ways", "int4 blocks, pinned", "--stress", "--seconds", "500")
    until, (option, given) = seen["stress"]
    assert option == "--seconds"
    assert float(given) <= until - offload.STARTS_S + 0.1
    assert result["options"]["latent"] == offload.SMALL_LATENT
    assert result["failed"] == {"int4 blocks, pinned": "stopped"}


def test_both_encoders(ran):
    result = ran(encoders, "--device", "cpu", "--times", "2")
    check(result, "encoders", "fp16", *encoders.FORMATS, "bf16", *encoders.FORMATS)
    for row in result["rows"]:
        assert row["error"] < 0.2
        assert 0.4 < row["bytes_of_float"] <= 1


def test_a_conversion_that_fails_leaves_the_others(ran, monkeypatch):
    def measure(name, source, options):
        assert source.exists()
        if name == "int8-channel":
            raise RuntimeError("ended with 1")
        return {"format": name, "device": "cpu", "source_gib": 2.0, "written_gib": 1.0, "peak_gib": 1.0, "seconds": 3.0, "copy_s": 2.0}

    monkeypatch.setattr(convert, "measure", measure)
    result = ran(convert, "--blocks", "1", "--sparse")
    says_where_it_comes_from(result, needs_comfyui=False)
    assert result["failed"] == {"int8-channel": "ended with 1"}
    has_its_table(result, "convert")
