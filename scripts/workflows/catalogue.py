"""The example workflows themselves, as data."""

from __future__ import annotations

from .files import CLIP_INT8, CORE_FP8_14B, FLOAT_1B, HIGH_FP8, I2V_INT8, LORA, LOW_FP8, T2V_FP8, T2V_INT8, T5_INT8
from .graph import Column, Link, Look, Workflow, node
from .notes import note_column
from .parts import (
    DISTILLED,
    FROM_IMAGE,
    FROM_TEXT,
    FULL,
    SHIFT,
    STATUS,
    Video,
    decoded,
    image_column,
    loader,
    prompt_column,
    saved,
    shifted,
    text_loaders,
    vae,
)

LOAD, SAMPLE = "1 · Models · 模型", "3 · Sampling · 采样"


def _workflow(name: str, *columns: Column) -> Workflow:
    return Workflow(name, (note_column(name), *columns))


def _t2v() -> Workflow:
    """The smallest download: the float 1.3B model, quantized while it loads."""
    sampler = node("KSampler", model=Link("shift"), **FROM_TEXT, seed=7, **FULL)
    return _workflow(
        "wan2.1_t2v",
        Column(LOAD, {"dit": loader("LightQuantLoadDiT", FLOAT_1B, "fp8-torch"), **text_loaders()}),
        prompt_column(Video(frames=33)),
        Column(SAMPLE, {"shift": shifted(Link("dit"), SHIFT["full"]), "sampler": sampler}),
        decoded(),
    )


def _i2v_clip() -> Workflow:
    """Everything that Wan2.1 has: DiT, T5 and CLIP in 8 bits."""
    sampler = node("KSampler", model=Link("shift"), **FROM_IMAGE, seed=7, **DISTILLED)
    return _workflow(
        "wan2.1_i2v_clip",
        Column(LOAD, {"dit": loader("LightQuantLoadDiT", I2V_INT8), **text_loaders(T5_INT8), "clip": loader("LightQuantLoadCLIP", CLIP_INT8)}),
        image_column(Video(), seen=True),
        Column(SAMPLE, {"shift": shifted(Link("dit"), SHIFT["distilled"]), "sampler": sampler}),
        decoded(),
    )


def _t2v_4step() -> Workflow:
    sampler = node("KSampler", model=Link("shift"), **FROM_TEXT, seed=7, **DISTILLED)
    return _workflow(
        "wan2.1_t2v_4step",
        Column(LOAD, {"dit": loader("LightQuantLoadDiT", T2V_FP8), **text_loaders()}),
        prompt_column(Video()),
        Column(SAMPLE, {"shift": shifted(Link("dit"), SHIFT["distilled"]), "sampler": sampler}),
        decoded(),
    )


def _two_experts() -> Workflow:
    """Steps 0 and 1 by the high-noise expert, 2 and 3 by the low-noise one: LightX2V's boundary_step_index of 2."""
    run = {"noise_seed": 7, **DISTILLED}
    first = node(
        "KSamplerAdvanced", Look("High noise · 高噪声"), model=Link("high"), **FROM_IMAGE, **run, add_noise="enable", start_at_step=0, end_at_step=2,
        return_with_leftover_noise="enable",
    )  # fmt: skip
    second = node(
        "KSamplerAdvanced", Look("Low noise · 低噪声", "fixed"), model=Link("low"), **{**FROM_IMAGE, "latent_image": Link("first")}, **run,
        add_noise="disable", start_at_step=2, end_at_step=4, return_with_leftover_noise="disable",
    )  # fmt: skip
    pair = node("LightQuantLoadDiTPair", Look(room=2 * STATUS.room), high_noise=HIGH_FP8, low_noise=LOW_FP8)
    shifts = {"high": shifted(Link("pair", 0), SHIFT["distilled"]), "low": shifted(Link("pair", 1), SHIFT["distilled"])}
    return _workflow(
        "wan2.2_i2v_two_experts",
        Column(LOAD, {"pair": pair, **text_loaders()}),
        image_column(Video(), seen=False),
        Column(SAMPLE, {**shifts, "first": first, "second": second}),
        decoded("second"),
    )


def _offload() -> Workflow:
    """DiT and text encoder through one offload node, the FFN in pieces, the VAE in tiles."""
    offload = node(
        "LightQuantOffload", STATUS, model=Link("dit"), clip=Link("t5"), granularity="block", vram=1.5, chunk_rows=4096,
    )  # fmt: skip
    sampler = node("KSampler", model=Link("shift"), **FROM_TEXT, seed=7, **DISTILLED)
    return _workflow(
        "wan2.1_t2v_8gb_offload",
        Column(LOAD, {"dit": loader("LightQuantLoadDiT", T2V_INT8), **text_loaders(T5_INT8)}),
        Column("Less VRAM · 省显存", {"offload": offload}),
        prompt_column(Video(frames=49), Link("offload", 1)),
        Column(SAMPLE, {"shift": shifted(Link("offload", 0), SHIFT["distilled"]), "sampler": sampler}),
        decoded(tiled=True),
    )


def _lora() -> Workflow:
    """LightX2V's 4-step LoRA on a quantized model that was not distilled."""
    lora = node("LightQuantLoRA", STATUS, model=Link("dit"), lora=LORA, strength=1.0, mode="beside")
    sampler = node("KSampler", model=Link("shift"), **FROM_TEXT, seed=7, **DISTILLED)
    return _workflow(
        "wan2.1_t2v_lora",
        Column(LOAD, {"dit": loader("LightQuantLoadDiT", CORE_FP8_14B), "lora": lora, **text_loaders()}),
        prompt_column(Video()),
        Column(SAMPLE, {"shift": shifted(Link("lora"), SHIFT["distilled"]), "sampler": sampler}),
        decoded(),
    )


def _quantize_and_save() -> Workflow:
    quantize = node("LightQuantQuantize", STATUS, model=Link("float"), scheme="int8-torch", scale="absmax")
    save = node("LightQuantSave", STATUS, model=Link("quantize"), filename="lightquant/wan2.1_t2v_1.3B_int8", overwrite=False)
    return _workflow(
        "quantize_and_save",
        Column("1 · Float model · 浮点模型", {"float": node("UNETLoader", unet_name=FLOAT_1B)}),
        Column("2 · Quantize · 量化", {"quantize": quantize}),
        Column("3 · Save · 保存", {"save": save}),
    )


COMPARED = {"float": "float · 浮点", "fp8": "fp8-torch", "int8": "int8-torch"}
"""The branches of the comparison, by the name of their nodes."""


def _compare_schemes() -> Workflow:
    """One seed under no scheme and two, the videos beside each other."""
    models = {"float": node("UNETLoader", unet_name=FLOAT_1B)} | {
        name: loader("LightQuantLoadDiT", FLOAT_1B, COMPARED[name]) for name in ("fp8", "int8")
    }
    samplers = {}
    for name, title in COMPARED.items():
        samplers[f"{name}_shift"] = shifted(Link(name), SHIFT["full"])
        samplers[f"{name}_sampler"] = node(
            "KSampler", Look(title, "fixed"), model=Link(f"{name}_shift"), **FROM_TEXT, seed=7, **{**FULL, "steps": 20}
        )
    decodes = {f"{name}_decode": node("VAEDecode", Look(title), samples=Link(f"{name}_sampler"), vae=Link("vae")) for name, title in COMPARED.items()}
    stitches = {
        "two": node("ImageStitch", image1=Link("float_decode"), image2=Link("fp8_decode")),
        "three": node("ImageStitch", image1=Link("two"), image2=Link("int8_decode")),
    }
    return _workflow(
        "compare_schemes",
        Column(LOAD, {**models, "t5": text_loaders()["t5"], "vae": vae()}),
        prompt_column(Video(480, 320, 33)),
        Column(SAMPLE, samplers),
        Column("4 · Decode · 解码", decodes, width=260),
        Column("5 · Side by side · 并排", {**stitches, **saved(Link("three"), "video/LightQuant_schemes")}),
    )


WORKFLOWS: dict[str, Workflow] = {
    made.name: made for made in (_t2v(), _t2v_4step(), _i2v_clip(), _two_experts(), _offload(), _lora(), _quantize_and_save(), _compare_schemes())
}
"""By name."""
