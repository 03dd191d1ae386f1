"""What lightquant fit calculates from is what the results say, and the pages show what it says."""

import json
import re

import fit_figures
import fit_tables
import pytest


def test_the_figures_are_those_of_the_results():
    assert json.loads(fit_figures.TARGET.read_text(encoding="utf-8")) == fit_figures.figures(), "run: python3 benchmarks/fit_figures.py"
    assert fit_figures.main(["--check"]) == 0


@pytest.mark.parametrize("page", fit_tables.PAGES)
def test_the_pages_show_what_fit_says(page):
    text = (fit_tables.REPOSITORY / page).read_text(encoding="utf-8")
    assert fit_tables.generated(text, fit_tables.PAGES[page]) == text, "run: python benchmarks/fit_tables.py, with ComfyUI's Python"
    assert len(fit_tables.MARKED.findall(text)) == 3


def test_both_pages_have_the_same_outline_tables_and_code():
    english, chinese = ((fit_tables.REPOSITORY / page).read_text(encoding="utf-8") for page in fit_tables.PAGES)
    for pattern in (r"^(#+) ", r"^<!-- .+", r"^lightquant .+"):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, chinese, re.MULTILINE)
    assert sorted(re.findall(r"`([^`\n]+)`", english)) == sorted(re.findall(r"`([^`\n]+)`", chinese))
    assert english.count("\n|") == chinese.count("\n|")


def test_a_result_of_offloading_is_taken_once_it_is_there(tmp_path):
    rows = [
        {"variant": "fp8 resident", "median_step_s": 2.0, "peak_gib": 18.0, "host_peak_gib": 14.0},
        {"variant": "fp8 blocks, pinned", "median_step_s": 2.1, "peak_gib": 4.4, "host_peak_gib": 15.0},
        {"variant": "int4 blocks, pinned", "median_step_s": 2.2, "peak_gib": 3.9, "host_peak_gib": 9.0},
    ]
    (tmp_path / "h200_offload.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    (tmp_path / "h200_offload_stress.json").write_text(json.dumps({"rows": [{"variant": "fp8 blocks, pinned"}]}), encoding="utf-8")
    found = fit_figures.offload(tmp_path)
    assert found["fp8 blocks, pinned"] == {"added_s": pytest.approx(0.1), "peak_gib": 4.4, "host_peak_gib": 15.0}
    assert "int4 blocks, pinned" not in found


def test_whole_steps_of_every_scheme_are_taken_once_they_are_there(tmp_path):
    def write(name: str, *rows: tuple[str, float]) -> None:
        made = [{"variant": variant, "median_step_s": step, "peak_gib": 1.0, "mean_error": 0.1} for variant, step in rows]
        (tmp_path / f"{name}.json").write_text(json.dumps({"rows": made}), encoding="utf-8")

    write("h200_dit_step_gaussian", ("bf16", 4.0), ("core-fp8", 3.0), ("lightquant-fp8-torch", 2.0))
    assert {scheme: row["step_s"] for scheme, row in fit_figures.steps(tmp_path).items()} == {"bf16": 4.0, "fp8-torch": 2.0}
    write("h200_dit_schemes", ("bf16", 4.1), ("core-int8", 3.0), ("int4-g128-marlin", 3.5), ("int4-g128-marlin+fuse", 3.0))
    assert {scheme: row["step_s"] for scheme, row in fit_figures.steps(tmp_path).items()} == {"bf16": 4.1, "fp8-torch": 2.0, "int4-g128-marlin": 3.5}


def test_the_ways_are_those_of_the_benchmark():
    from lightquant.reports.fit.ways import WAYS
    from offload_variants import WAYS as MEASURED_WAYS

    for way in WAYS:
        for tag in ("fp8", "int4"):
            node = MEASURED_WAYS[f"{tag} {way.label}"].node or {}
            assert (node.get("chunk_rows", 0), node.get("from_disk", False)) == (way.chunk_rows, way.from_disk)
            assert node.get("granularity", "block") == way.granularity
