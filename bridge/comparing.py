"""Two MODELs run side by side: the error of each quantized layer's output, and of the latents that they sample."""

import os
from dataclasses import dataclass

import torch
from nodes import common_ksampler

from ..errors import ReportError
from ..reports.error_report.report import OUTPUTS, ErrorReport, Latents, Side
from ..reports.weight_errors import FLOAT
from .output_errors import paired, quantized_layers, watching
from .record import record_of

_REFERENCE = "lightquant.reference"
"""Under which the reference is loaded together with the model that is compared with it."""


@dataclass(frozen=True)
class Run:
    """What KSampler takes, for both models."""

    seed: int
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    positive: list
    negative: list
    latent: dict

    def sample(self, model) -> dict:
        """A LATENT, as ComfyUI's own KSampler gives it."""
        where = (self.seed, self.steps, self.cfg, self.sampler_name, self.scheduler, self.positive, self.negative)
        return common_ksampler(model, *where, self.latent)[0]


def compare_models(model, reference, run: Run, random: bool = False) -> tuple[ErrorReport, dict, dict]:
    """The report, and both LATENTs: of the quantized model and of the reference.

    A layer's error is that of its output against what the reference's layer of that name gives for the same input, over all steps.
    random: the weights are, whatever the file says. Raises ReportError where the model is not quantized or the two are not of one kind.
    """
    pairs = paired(model.model.diffusion_model, reference.model.diffusion_model)
    expected = run.sample(reference)
    with watching(pairs) as errors:
        found = run.sample(_together(model, reference))
    layers = errors.layers()
    if not layers:
        raise ReportError("None of the quantized layers ran while the model sampled. Connect the MODEL as it comes from its loader.")
    record, kept = record_of(model), record_of(reference)
    is_random = random or any(each is not None and each.random for each in (record, kept))
    report = ErrorReport(
        OUTPUTS, _name(kept, "the reference MODEL"), _format_of(reference), (Side(_name(record, "the quantized MODEL"), layers),), is_random,
        tuple(errors.notes()), _latents(found["samples"], expected["samples"], run),
    )  # fmt: skip
    return report, found, expected


def _together(model, reference):
    """The model, sampled with the reference loaded beside it: its patches are applied then, and both count for the memory that is freed."""
    if reference.model is model.model:
        return model
    clone = model.clone()
    clone.set_additional_models(_REFERENCE, [reference])
    return clone


def _latents(found: torch.Tensor, expected: torch.Tensor, run: Run) -> Latents:
    found, expected = (each.detach().flatten().double().cpu() for each in (found, expected))
    error, norm = float((found - expected).norm()), float(expected.norm())
    return Latents(float(torch.nn.functional.cosine_similarity(found, expected, dim=0)), error / norm if norm else 0.0, run.steps, run.seed)


def _format_of(model) -> str:
    formats = dict.fromkeys(layer.format for layer in quantized_layers(model.model.diffusion_model).values())
    return ", ".join(formats) or FLOAT


def _name(record, otherwise: str) -> str:
    return os.path.basename(os.path.normpath(record.file)) if record and record.file else otherwise
