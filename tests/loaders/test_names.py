"""Names as published, as other packs publish them and as users write them."""

import pytest
from lightquant.loaders.names import expert_of, recognise, with_expert


@pytest.mark.parametrize(
    ("path", "expert"),
    [
        ("wan2.2_i2v_A14b_high_noise_scaled_fp8_e4m3_lightx2v_4step.safetensors", "high"),
        ("wan2.2_i2v_A14b_low_noise_int8_lightx2v_4step_split", "low"),
        ("Wan2_2-I2V-A14B-HIGH_fp8_e4m3fn_scaled_KJ.safetensors", "high"),
        ("Wan2_2-T2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors", "low"),
        ("wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", "high"),
        ("Wan2.2-T2V-A14B-LowNoise-Q4_K_M.gguf", "low"),
        ("wan22LightningHIGHv2.safetensors", "high"),
        ("models/high_noise_model/diffusion_pytorch_model-00001-of-00006.safetensors", "high"),
        ("C:\\models\\low_noise_model\\distill_model.safetensors", "low"),
        ("/models/high_noise_model/", "high"),
        ("low_noise_model/wan2.2_HIGH.safetensors", "high"),
        ("low_noise_model/merged_high_low.safetensors", "low"),
        ("low_noise_model/deep/down/wan.safetensors", None),
        ("wan_slow_flow_highlight.safetensors", None),
        ("wan_LOW_VRAM.safetensors", None),
        ("wan_high-quality_lowmem.safetensors", None),
        ("wan_high_low.safetensors", None),
        ("", None),
        (".", None),
    ],
)
def test_experts(path, expert):
    assert expert_of(path) == expert


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wan2.2_i2v_A14b_high_noise_fp8_e4m3_lightx2v_4step.safetensors", ("dit", "fp8-channel", "diffusion_models", "high", "wan2.2 i2v a14b")),
        ("Wan2_1-I2V-14B-480P_fp8_e4m3fn.safetensors", ("dit", None, "diffusion_models", None, "wan2.1 i2v 14b 480p")),
        ("Wan2_2-I2V-A14B-HIGH_fp8_e4m3fn_scaled_KJ.safetensors", ("dit", "fp8-channel", "diffusion_models", "high", "wan2.2 i2v a14b")),
        ("wan2.2_ti2v_5B_fp16.safetensors", ("dit", None, "diffusion_models", None, "wan2.2 ti2v 5b")),
        ("wan2.1_vace_14B_fp16.safetensors", ("dit", None, "diffusion_models", None, "wan2.1 vace 14b")),
        ("Wan2.1-T2V-1.3B/diffusion_pytorch_model.safetensors", ("dit", None, "diffusion_models", None, "wan2.1 t2v 1.3b")),
        ("x/wan2.1_i2v_720p_int8_lightx2v_4step_split/block_3.safetensors", ("dit", "int8-channel", "diffusion_models", None, "wan2.1 i2v 720p")),
        ("high_noise_model/diffusion_pytorch_model-00001-of-00006.safetensors", ("dit", None, "diffusion_models", "high", "")),
        ("int8/clip-int8.pth", ("clip", "int8-channel", "clip_vision", None, "")),
        ("clip_vision_h.safetensors", ("clip", None, "clip_vision", None, "")),
        ("umt5_xxl_fp8_e4m3fn_scaled.safetensors", ("t5", "fp8-channel", "text_encoders", None, "")),
        ("google/umt5-xxl/spiece.model", ("tokenizer", None, "text_encoders", None, "")),
        ("Wan2.1_VAE.pth", ("vae", None, "vae", None, "wan2.1")),
        ("vae/diffusion_pytorch_model.safetensors", ("vae", None, "vae", None, "")),
        ("lightx2v_I2V_14B_480p_cfg_step_distill_rank32_bf16.safetensors", ("lora", None, "loras", None, "i2v 14b 480p")),
    ],
)
def test_what_a_name_tells(name, told):
    assert tuple(recognise(name)) == told


@pytest.mark.parametrize("name", ["model.safetensors", "my_model_fp8.safetensors", "block_0.safetensors", "flux1-dev.safetensors", ""])
def test_a_name_that_does_not_tell(name):
    assert recognise(name) is None


@pytest.mark.parametrize(
    ("name", "expert", "expected"),
    [
        ("slow_motion_low_noise.safetensors", "low", "slow_motion_high_noise.safetensors"),
        ("highlight_Wan2_2-I2V-A14B-HIGH_fp8.safetensors", "high", "highlight_Wan2_2-I2V-A14B-LOW_fp8.safetensors"),
        ("Wan2.2-T2V-A14B-LowNoise_low_vram.safetensors", "low", "Wan2.2-T2V-A14B-HighNoise_low_vram.safetensors"),
        ("wan22LightningHIGHv2.safetensors", "high", "wan22LightningLOWv2.safetensors"),
        ("low_noise_LOW.safetensors", "low", "high_noise_HIGH.safetensors"),
        ("flow.safetensors", "low", "flow.safetensors"),
    ],
)
def test_only_the_word_that_says_the_expert_is_exchanged(name, expert, expected):
    other = {"low": "high", "high": "low"}[expert]
    assert with_expert(name, expert, other) == expected
    assert with_expert(expected, other, expert) == name
