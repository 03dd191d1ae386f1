"""The measured figures that `lightquant fit` calculates from: `python3 benchmarks/fit_figures.py` writes them, `--check` only compares.

They are picked from the files of benchmarks/results into reports/fit/measured.json, as the registry's archive of the pack has no benchmarks folder.
A result that is not there yet is left out, and fit then says that it has not been measured. Standard library only.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import linear_summary
from linear_plan import FULL, Model, block_of

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
TARGET = REPOSITORY / "reports" / "fit" / "measured.json"

STEPS = ("h200_dit_step_gaussian", "h200_dit_schemes")
"""Whole steps by scheme; of two files that have one the later holds."""
LINEAR, SCALES = "h200_linear", "cpu_scale_search"

NOTED = {
    "from": "one H200, 2026-11, torch 2.11 and ComfyUI 0.30.0 under its dynamic VRAM; noted by hand, there is no result file",
    "activations_gib": 2.8,
    "between_s": 0.204,
    "pinned_gb_s": 55.0,
    "pageable_gb_s": 19.0,
    "paged": [
        {"free_gib": 12.0, "used_gib": 11.7, "step_s": 3.47},
        {"free_gib": 8.0, "used_gib": 7.7, "step_s": 3.48},
        {"free_gib": 6.0, "used_gib": 5.7, "step_s": 3.48},
    ],
}
"""Of Wan2.1-T2V-14B, 832x480x81, cfg 1: VRAM of a step beside the weights; seconds of a step in neither attention nor linears (the profile's addcmul,
norms, rotary embedding and GELU); copies from host to device; and an fp8 model under ComfyUI's dynamic VRAM with only so much of the card free."""


def read(name: str, results: Path) -> dict | None:
    """A result file, None where it has not been measured."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def figures(results: Path = RESULTS) -> dict:
    """What belongs into measured.json."""
    linear = read(LINEAR, results)
    return {
        "card": linear["environment"]["gpu"],
        "measured_at": {"model": "wan2.1-t2v-14b", "width": 832, "height": 480, "frames": 81},
        "files": commits(results),
        "noted": NOTED,
        "steps": steps(results),
        "linears": {str(model.width): linears(linear, model) for model in FULL.models if model.name.startswith("Wan")},
        "weight_errors": weight_errors(read(SCALES, results)),
        "host_beside_model_gib": host_beside_model(results),
        "offload": offload(results),
    }


def commits(results: Path) -> dict[str, str]:
    """Result file -> the commit that it measured."""
    names = [*STEPS, LINEAR, SCALES, *_named(results, "h200_start"), *_offloads(results)]
    return {name: found["environment"]["commit"] for name in names if (found := read(name, results))}


def steps(results: Path) -> dict[str, dict[str, float]]:
    """bf16 and each scheme whose whole steps were measured, nothing added: seconds, peak VRAM, and the first prediction's error against bf16."""
    found = {}
    for name in STEPS:
        for row in (read(name, results) or {"rows": []})["rows"]:
            scheme = row["variant"].removeprefix("lightquant-")
            if not scheme.startswith("core-") and "+" not in scheme:
                found[scheme] = {"step_s": row["median_step_s"], "peak_gib": row["peak_gib"], "error": row["mean_error"]}
    return found


def linears(result: dict, model: Model) -> dict[str, dict[str, float | None]]:
    """Kernel -> milliseconds of a block's linears, and of it the quantizer's where it is apart."""
    block = block_of(model, FULL.block.rows)
    sums = linear_summary.block({"rows": [row for row in result["rows"] if row["model"] == model.name], "block": block._asdict()})
    return {kernel: {"block_ms": each["all_ms"], "quantizer_ms": each["quantizer_ms"]} for kernel, each in sums.items()}


def weight_errors(result: dict) -> dict[str, float]:
    """Format -> relative error of Gaussian weights of the 14B model's width."""
    rows = [row for row in result["rows"] if (row["weights"], row["inputs"], row["scaling"]) == ("random, gaussian", 5120, "absmax")]
    return {row["format"]: row["relative_error"] for row in rows}


def host_beside_model(results: Path) -> float:
    """The most host memory that the pack was seen to hold beside a model's file, its libraries included."""
    rows = [row for name in _named(results, "h200_start") for row in read(name, results)["rows"]]
    return max(row["host_peak_gib"] - row["file_gib"] for row in rows if row["variant"].startswith("lightquant"))


def offload(results: Path) -> dict[str, dict[str, float]]:
    """Label of a way of offloading -> the seconds by which its step is longer than the resident one, its peak VRAM and its host memory."""
    rows = {row["variant"]: row for name in _offloads(results) for row in read(name, results)["rows"]}
    found = {}
    for label, row in rows.items():
        resident = rows.get(f"{label.split(' ')[0]} resident")
        if resident:
            added = row["median_step_s"] - resident["median_step_s"]
            found[label] = {"added_s": added, "peak_gib": row["peak_gib"], "host_peak_gib": row["host_peak_gib"]}
    return found


def _offloads(results: Path) -> list[str]:
    return [name for name in _named(results, "h200_offload") if "stress" not in name]


def _named(results: Path, beginning: str) -> list[str]:
    return sorted(path.stem for path in results.glob(f"{beginning}*.json"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the measured figures that lightquant fit calculates from.")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if the file is not what the results give")
    options = parser.parse_args(arguments)
    text = json.dumps(figures(), indent=1) + "\n"
    if options.check:
        same = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text
        if not same:
            print(f"Out of date: {TARGET.name}. Run: python3 benchmarks/fit_figures.py", file=sys.stderr)
        return 0 if same else 1
    TARGET.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
