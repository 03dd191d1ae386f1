"""benchmarks/linear.py and exactness.py run where there is no GPU, and their sums are right."""

import argparse
import json
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import exactness
import exactness_cases
import linear
import linear_plan
import linear_plot
import linear_summary
import pytest
import running
import tables
import torch
from lightquant.formats import INT4_MARLIN
from lightquant.kernels import best_variant, marlin
from lightquant.kernels.registry import VARIANTS
from linear_summary import ALONE, BF16, EXPANDED
from operands import Weights, needed, random_weight
from timing import LEAD_CYCLES, times_ms

CPU = torch.device("cpu")
A, B, SLOW = "int8-triton", "int8-vllm", "int8-torch"
LINEARS = [[6, 8, 8], [1, 8, 16], [1, 16, 8]]


def options(path: Path, **given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"require": "", "out": str(path), "commit": "0123456789", "device": CPU, "seconds": math.inf} | given))


def row(kernel: str, inputs: int, outputs: int, ms: float) -> dict:
    return {
        "model": "m", "inputs": inputs, "outputs": outputs, "rows": 4, "kernel": kernel, "median_ms": ms, "quantize_ms": ms / 4, "matmul_ms": ms / 2,
        "times_bf16": 1.0, "error": None if kernel == BF16 else ms / 1000,
    }  # fmt: skip


def made_up() -> dict:
    """A result in which A takes half of bf16's time, B as much as A, SLOW twice of it."""
    rows = [
        row(kernel, inputs, outputs, ms * outputs) for kernel, ms in ((BF16, 2.0), (A, 1.0), (B, 1.0), (SLOW, 4.0)) for _, inputs, outputs in LINEARS
    ]
    quantizers = [
        {"inputs": inputs, "rows": 4, "dtype": "fp8", "whose": whose, "median_ms": ms}
        for inputs in (8, 16) for whose, ms in ((linear_summary.OURS, 1.0), (linear_summary.VLLM, 1.25))
    ]  # fmt: skip
    return {"block": {"model": "m", "rows": 4, "linears": LINEARS}, "rows": rows, "int4_rows": [], "quantizers": quantizers}


def sweep(alone: list[float], expanded: list[float]) -> list[dict]:
    return [
        {"inputs": 8, "outputs": 8, "rows": 2**index, "kernel": kernel, "median_ms": ms}
        for kernel, times in ((ALONE, alone), (EXPANDED, expanded)) for index, ms in enumerate(times)
    ]  # fmt: skip


def test_the_block_sums_its_linears_and_knows_their_ratios():
    found = linear_summary.summary(made_up())
    assert found["kernels"][A] == {"all_ms": 6 * 8 + 16 + 8, "quantizer_ms": 18.0, "product_ms": 36.0, "largest_error": 0.016, "times_bf16": 2.0}
    assert found["ratios"] == {f"{A} : {B}": 1.0, f"{A} : {SLOW}": 4.0, "fp8 quantizer, LightQuant : vLLM": 1.25}


def test_a_kernel_that_lacks_a_linear_has_no_block():
    result = made_up()
    result["rows"].remove(row(A, 16, 8, 8.0))
    assert A not in linear_summary.summary(result)["kernels"]


@pytest.mark.parametrize(
    ("alone", "expanded", "rows"),
    [([1, 2, 9, 9], [5, 5, 5, 5], 4), ([1, 6, 4, 9], [5, 5, 5, 5], 8), ([1, 1, 1, 1], [5, 5, 5, 5], None), ([5, 5, 5, 5], [1, 1, 1, 1], 1)],
)
def test_the_crossover_is_where_expanding_wins_for_good(alone, expanded, rows):
    assert linear_summary.crossovers(sweep(alone, expanded)) == [{"inputs": 8, "outputs": 8, "rows": rows}]


def test_the_plan_has_the_promised_block_among_its_points():
    block = linear_plan.FULL.block
    assert block.linears == ((6, 5120, 5120), (1, 5120, 13824), (1, 13824, 5120))
    (model,) = (model for model in linear_plan.FULL.models if model.name == block.model)
    assert {shape for _, *shape in map(tuple, block.linears) for shape in [tuple(shape)]} == set(model.shapes)
    assert block.rows in model.rows


def test_marlins_two_ways_can_be_forced(monkeypatch):
    """The benchmark forces them from outside, for rows on either side of the limit, and weights."""
    monkeypatch.setattr(marlin, "FEWEST_WEIGHTS", 64 * 128)
    turns = []
    kernel = marlin.VLLMMarlin()
    monkeypatch.setitem(marlin.PROVIDERS, kernel.provider, lambda values, data, scale: turns.append("alone") or values.new_zeros(len(values), 64))
    expanded = SimpleNamespace(
        is_supported=lambda device: (True, ""),
        matmul=lambda rows, weight, bias, dtype: turns.append("expanded") or rows.values.new_zeros(len(rows.values), 64),
    )
    monkeypatch.setattr(marlin, "_MANY_ROWS", expanded)
    weight = INT4_MARLIN.quantize(random_weight(64, 128, CPU))
    ways = {None: None, "alone": True, "expanded": False}
    for rows, chosen in ((marlin.FEW_ROWS, "alone"), (marlin.FEW_ROWS + 1, "expanded")):
        x = torch.zeros(rows, 128, dtype=torch.bfloat16)
        call = partial(lambda x, turn: kernel.linear(x, weight, None), x)
        for forced, alone in ways.items():
            (call if alone is None else linear._marlin(kernel, call, alone))(0)
            assert turns.pop() == (forced or chosen)
            assert not turns
    kernel.linear(torch.zeros(2 * marlin.FEW_ROWS, 128), weight, None)
    assert turns.pop() == "alone", "fp32 rows are multiplied by Marlin, however many they are"
    monkeypatch.setattr(marlin, "FEWEST_WEIGHTS", 64 * 128 + 1)
    kernel.linear(torch.zeros(1, 128, dtype=torch.bfloat16), weight, None)
    assert turns == ["expanded"], "a small weight is expanded sooner than multiplied"


def test_calls_take_turns_and_are_told_theirs():
    turns = []
    found = times_ms({"a": lambda turn: turns.append(("a", turn)), "b": lambda turn: turns.append(("b", turn))}, CPU, 0.001)
    assert [turn for turn in turns if turn[1] == 1] == [("a", 1), ("b", 1)]
    assert len(found["a"]) == len(found["b"]) >= 5


def test_a_gpu_sleeps_longer_until_the_host_is_ahead_of_it(monkeypatch):
    slept = []

    class Event:
        def __init__(self, enable_timing: bool = False):
            pass

        def record(self):
            pass

        def query(self) -> bool:
            return len(slept) < 3

        def elapsed_time(self, other) -> float:
            return 0.5

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "_sleep", slept.append, raising=False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    found = times_ms({"a": lambda turn: None}, torch.device("cuda", 0), 5)
    assert slept[:4] == [LEAD_CYCLES, 2 * LEAD_CYCLES, 4 * LEAD_CYCLES, 4 * LEAD_CYCLES]
    assert found == {"a": [0.5] * 10}


def test_copies_of_a_weight_are_equal_and_lie_apart():
    kernel = VARIANTS["int8-torch"][0]
    weights = Weights(random_weight(64, 128, CPU))
    copies = weights.copies(kernel, 3 * 64 * 128)
    assert len(copies) == needed(copies[0], 3 * 64 * 128) == 3
    assert len({each.data.data_ptr() for each in copies}) == 3
    assert all(torch.equal(each.data, copies[0].data) for each in copies)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("linear") / "h200_linear.json"
    with torch.inference_mode():
        linear.run(linear_plan.SMALL, options(path))
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_point_of_every_kernel_that_runs_is_measured(measured):
    points = {(row["kernel"], row["inputs"], row["outputs"], row["rows"]) for row in measured["rows"]}
    (model,) = linear_plan.SMALL.models
    assert points == {(kernel, *shape, rows) for kernel in (BF16, *measured["formats"]) for shape in model.shapes for rows in model.rows}
    assert "int8-torch" in measured["formats"]
    assert not measured["failed"]
    assert not measured["left_out"]
    assert all(row["error"] <= row["tolerance"] for row in measured["rows"] if row["error"] is not None)


def test_a_table_and_a_plot_can_be_made_of_it(measured, tmp_path):
    (tmp_path / "h200_linear.json").write_text(json.dumps(measured), encoding="utf-8")
    for language in tables.TEXTS:
        assert "| `int8-torch` | int8-channel |" in tables.rendered("h200_linear", language, tmp_path)
    plot = linear_plot.svg(measured)
    assert plot == linear_plot.svg(measured)
    assert plot.count("<polyline") == 3 * sum(1 for label in measured["formats"] if "(" not in label)


def test_out_of_time_nothing_begins_and_all_is_listed(tmp_path):
    path = tmp_path / "result.json"
    linear.run(linear_plan.SMALL, options(path, seconds=0))
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["rows"] == []
    assert len(result["left_out"]) == 3 * (2 + 3)


def test_a_kernel_that_raises_is_listed_and_the_others_are_measured(tmp_path, monkeypatch):
    kernel, _ = best_variant("int8-torch", CPU)  # which of its variants that is depends on the CPU

    def broken(*_):
        raise RuntimeError("no\nsecond line")

    monkeypatch.setattr(kernel, "matmul", broken)
    with torch.inference_mode():
        result = linear.run(linear_plan.SMALL, options(tmp_path / "result.json"))
    assert result["failed"]["int8-torch, 48 x 256 to 256"] == "no"
    assert {row["kernel"] for row in result["rows"]} >= {BF16, "fp8-torch"}


def test_the_matrix_has_every_case_of_the_promise():
    cases = list(exactness_cases.cases(exactness_cases.FULL))
    assert len(set(cases)) == len(cases)
    assert {case.rows for case in cases if case.kind == "huge"} == {1, 16, 17, 513, 32760}
    assert {case.has_bias for case in cases} == {True, False}
    assert {case.dtype for case in cases} == {torch.bfloat16, torch.float16, torch.float32}
    dimensions = {case.draw(CPU).ndim for case in exactness_cases.cases(exactness_cases.SMALL)}
    assert dimensions == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("view", ["transposed", "columns of a wider one", "every other row", "one row repeated", "permuted 3-D"])
def test_views_are_not_contiguous(view):
    case = exactness_cases.Case(view, "random", view, 24, 32, 8, torch.float32, True)
    assert not case.draw(CPU).is_contiguous()


def test_on_the_cpu_every_kernel_is_within_its_tolerance(tmp_path):
    with torch.inference_mode():
        result = exactness.run(exactness_cases.SMALL, options(tmp_path / "result.json"))
    assert result["failing"] == []
    assert {row["kernel"] for row in result["rows"]} == set(result["variants"])
    assert {row["case"] for row in result["rows"]} == {*exactness_cases.KINDS, *exactness_cases.VIEWS, "other shapes"}


def test_a_wrong_kernel_fails_every_case(tmp_path, monkeypatch):
    kernel = VARIANTS["int8-torch"][0]
    matmul = type(kernel).matmul
    monkeypatch.setattr(type(kernel), "matmul", lambda self, *operands: matmul(self, *operands) * 1.01)
    device_weights = {shape: Weights(random_weight(*reversed(shape), CPU)) for shape in ((256, 192), (200, 52), (17, 9))}
    with torch.inference_mode():
        rows, failing = exactness.check("int8-torch", kernel, exactness.Checked(kernel, device_weights, CPU), exactness_cases.SMALL)
    assert all(row["worst_error"] > row["tolerance"] for row in rows if "zero" not in row["case"])
    assert failing


def test_a_kernel_that_is_required_and_does_not_run_ends_it_at_once():
    with pytest.raises(SystemExit) as caught:
        running.running(CPU, "fp8-vllm,int8-torch,fp8-torch=row-wise")
    first, second = str(caught.value).splitlines()
    assert first.startswith("fp8-vllm does not run: it needs an NVIDIA GPU")
    assert second.startswith("fp8-torch runs as the weight expanded")
    running.running(CPU, "int8-torch,fp8-torch=expanded")
