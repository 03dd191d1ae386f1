"""The measured figures, as benchmarks/fit_figures.py picked them from the results; nothing else in this folder is a measurement."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .models import MODELS, Model


@dataclass(frozen=True)
class Measured:
    """card: it was measured on; model, tokens: whole steps; files: result -> commit.

    noted: figures without a result file; steps: scheme -> step_s, peak_gib, error; linears: width -> kernel -> block_ms and quantizer_ms, at those
    tokens; weight_errors: format -> relative error; host_beside_model_gib: host memory of a process beside the model's file;
    offload: way -> added_s (to a resident step), peak_gib, host_peak_gib.
    """

    card: str
    model: Model
    tokens: int
    files: Mapping[str, str]
    noted: Mapping
    steps: Mapping[str, Mapping[str, float]]
    linears: Mapping[int, Mapping[str, Mapping[str, float | None]]]
    weight_errors: Mapping[str, float]
    host_beside_model_gib: float
    offload: Mapping[str, Mapping[str, float]]


@cache
def measured() -> Measured:
    """The pack's figures."""
    found = json.loads(Path(__file__).with_name("measured.json").read_text(encoding="utf-8"))
    at = found.pop("measured_at")
    model = MODELS[at.pop("model")]
    linears = {int(width): kernels for width, kernels in found.pop("linears").items()}
    return Measured(model=model, tokens=model.tokens(**at), linears=linears, **found)
