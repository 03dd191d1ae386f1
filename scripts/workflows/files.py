"""The published files that the workflows name, and where the page's dialog for missing models finds each.

LightX2V's come from the pack's catalogue. The names and addresses of Comfy-Org's are those in ComfyUI's own workflow templates
(comfyui-workflow-templates 0.11.27: text_to_video_wan, video_wan2.1_alpha_t2v_14B).
"""

from __future__ import annotations

from typing import NamedTuple

from lightquant.loaders.catalogue import published

HUB = "https://huggingface.co"

VAE = "wan_2.1_vae.safetensors"
FLOAT_1B = "wan2.1_t2v_1.3B_fp16.safetensors"
CORE_FP8_14B = "wan2.1_t2v_14B_fp8_scaled.safetensors"
T2V_FP8 = "wan2.1_t2v_14b_scaled_fp8_e4m3_lightx2v_4step.safetensors"
T2V_INT8 = "wan2.1_t2v_14b_int8_lightx2v_4step.safetensors"
I2V_INT8 = "wan2.1_i2v_480p_int8_lightx2v_4step.safetensors"
HIGH_FP8 = "wan2.2_i2v_A14b_high_noise_scaled_fp8_e4m3_lightx2v_4step.safetensors"
LOW_FP8 = "wan2.2_i2v_A14b_low_noise_scaled_fp8_e4m3_lightx2v_4step.safetensors"
LORA = "wan2.1_t2v_14b_lora_rank64_lightx2v_4step.safetensors"
T5_FP8 = "models_t5_umt5-xxl-enc-fp8.pth"
T5_INT8 = "models_t5_umt5-xxl-enc-int8.pth"
CLIP_INT8 = "models_clip_open-clip-xlm-roberta-large-vit-huge-14-int8.pth"

TOKENIZER_PAGE = f"{HUB}/Wan-AI/Wan2.1-T2V-14B/blob/main/google/umt5-xxl/spiece.model"
"""No file that the dialog knows: it offers weights only, so the notes link it."""

_COMFY_ORG = "Comfy-Org/Wan_2.1_ComfyUI_repackaged"
_OF_COMFY_ORG = {VAE: "vae", FLOAT_1B: "diffusion_models", CORE_FP8_14B: "diffusion_models"}
_OF_LIGHTX2V = (T2V_FP8, T2V_INT8, I2V_INT8, HIGH_FP8, LOW_FP8, LORA, T5_FP8, T5_INT8, CLIP_INT8)


class Model(NamedTuple):
    """As the page's format names these fields: a file, its address, and ComfyUI's folder for it."""

    name: str
    url: str
    directory: str


def _lightx2v(name: str) -> Model:
    entry = published(name)
    return Model(name, f"{HUB}/{entry.repository}/resolve/main/{name}", entry.folder)


FILES: dict[str, Model] = {name: _lightx2v(name) for name in _OF_LIGHTX2V} | {
    name: Model(name, f"{HUB}/{_COMFY_ORG}/resolve/main/split_files/{folder}/{name}", folder) for name, folder in _OF_COMFY_ORG.items()
}
"""By name, every file that a workflow may name."""
