"""The runs as a table to read and as JSON to keep."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import torch
from demo_files import Models
from demo_measure import FLOAT, Run

NOT_COMPARED = "-"
COLUMNS = ("model", "task", "kernel", "DiT file", "of float", "s/step", "peak memory", "peak VRAM", "cosine", "rel. error", "same seed again")


def cosine(latent: torch.Tensor, reference: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(latent.flatten(), reference.flatten(), dim=0).item()


def relative_error(latent: torch.Tensor, reference: torch.Tensor) -> float:
    """Norm of the difference over norm of the reference."""
    return ((latent - reference).norm() / reference.norm()).item()


def results(options: argparse.Namespace, system: dict, models: Models, runs: Sequence[Run], left_out: Mapping[str, str]) -> dict:
    """All that was found, ready for JSON. Sizes in bytes, times in seconds. left_out: scheme -> why it did not run."""
    references = {run.task: run for run in runs if run.name == FLOAT}
    settings = ("width", "height", "frames", "steps")
    users = sorted({str(file.path) for files in models.quantized.values() for file in files if not file.small})
    return {
        "comfyui": system["system"]["comfyui_version"],
        "torch": system["system"]["pytorch_version"],
        "device": system["devices"][0]["name"],
        "settings": {name: getattr(options, name) for name in settings},
        "weights": f"small models with random weights{', but for ' + ', '.join(users) if users else ''}",
        "compared_with": None if not references else "the float DiT; float encoders too, where they are the demo's own",
        "runs": [_entry(run, references.get(run.task)) for run in runs],
        "left_out": dict(left_out),
    }


def _entry(run: Run, reference: Run | None) -> dict:
    compared = reference is not None and reference is not run
    return {
        "model": run.name,
        "task": run.task,
        "kernels": run.kernels,
        "files": run.files,
        "files_of_float": reference and {component: size / reference.files[component] for component, size in run.files.items()},
        "seconds_per_step": run.seconds_per_step,
        "step_seconds": run.step_times,
        "prompt_seconds": run.seconds,
        "memory": run.memory,
        "cosine": cosine(run.latent, reference.latent) if compared else None,
        "relative_error": relative_error(run.latent, reference.latent) if compared else None,
        "repeat_difference": run.repeat_difference,
        "finite": bool(run.latent.isfinite().all()),
    }


def table(found: dict) -> str:
    """The runs, one a row; below it every kernel's reason and what did not run."""
    rows = [COLUMNS, *(_row(entry) for entry in found["runs"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    if found["compared_with"] is None:
        lines.append(f"The errors are empty ({NOT_COMPARED}): there is no float model to compare with. Name one with --float-dit.")
    lines += ["", f"Weights: {found['weights']}. Device: {found['device']}.", "Kernels and why:"]
    whys: dict[tuple[str, str], dict[str, None]] = {}
    for entry in found["runs"]:
        for component, kernel in entry["kernels"].items():
            whys.setdefault((entry["model"], kernel), {})[component] = None
    lines += [f"  {model} ({', '.join(components)}): {kernel}" for (model, kernel), components in whys.items()]
    if found["left_out"]:
        lines += ["Not run:", *(f"  {scheme}: {why}" for scheme, why in found["left_out"].items())]
    return "\n".join(lines)


def _row(entry: dict) -> tuple[str, ...]:
    memory, of_float = entry["memory"], entry["files_of_float"]
    return (
        entry["model"],
        entry["task"],
        entry["kernels"].get("dit", "ComfyUI's own").partition(":")[0],
        f"{entry['files']['dit'] / 1e6:.1f} MB",
        f"{of_float['dit']:.0%}" if of_float else NOT_COMPARED,
        f"{entry['seconds_per_step']:.3f}",
        _memory(memory["before"], memory["peak"]),
        _memory(memory["device_before"], memory["device_peak"]),
        NOT_COMPARED if entry["cosine"] is None else f"{entry['cosine']:.5f}",
        NOT_COMPARED if entry["relative_error"] is None else f"{entry['relative_error']:.4f}",
        "identical" if entry["repeat_difference"] == 0 else f"differs by up to {entry['repeat_difference']:.1e}",
    )


def _memory(before: int | None, peak: int | None) -> str:
    return NOT_COMPARED if peak is None else f"{peak / 2**20:.0f} MiB (+{(peak - before) / 2**20:.0f})"
