"""Every key of LightX2V's Wan configurations, with what becomes of it here."""

from typing import NamedTuple

READ, UNUSED, UNKNOWN = "read", "not used", "unknown"
ELSEWHERE, COMFYUI, NOTHING = "set in other nodes", "done by ComfyUI itself", "means nothing here"
"""What can become of a key. UNUSED: a key that is read elsewhere, but that another value of this configuration puts out of use."""

READS: dict[str, str] = {
    "model_cls": "tells a one-model configuration from one with two experts",
    "dit_quantized": "whether the DiT is a quantized one",
    "dit_quant_scheme": "the DiT's scheme",
    "dit_quantized_ckpt": "the DiT's checkpoint",
    "dit_original_ckpt": "the DiT's checkpoint where it is not quantized",
    "high_noise_quantized_ckpt": "the high-noise expert's checkpoint",
    "high_noise_original_ckpt": "the high-noise expert's checkpoint where it is not quantized",
    "low_noise_quantized_ckpt": "the low-noise expert's checkpoint",
    "low_noise_original_ckpt": "the low-noise expert's checkpoint where it is not quantized",
    "t5_quantized": "whether the text encoder is a quantized one",
    "t5_quant_scheme": "the text encoder's scheme",
    "t5_quantized_ckpt": "the text encoder's checkpoint",
    "t5_original_ckpt": "the text encoder's checkpoint where it is not quantized",
    "t5_tokenizer_path": "the text encoder's tokenizer",
    "clip_quantized": "whether the image encoder is a quantized one",
    "clip_quant_scheme": "the image encoder's scheme",
    "clip_quantized_ckpt": "the image encoder's checkpoint",
    "clip_original_ckpt": "the image encoder's checkpoint where it is not quantized",
    "use_image_encoder": "whether there is an image encoder",
    "lora_configs": "the LoRAs, each with its strength",
}


class Entry(NamedTuple):
    """What becomes of a key, and why or where in a user's words."""

    becomes: str
    text: str


_STEPS = "steps of KSampler"
_LATENT = "an input of the node that makes the latent: WanImageToVideo, EmptyHunyuanLatentVideo"
_MEMORY = "ComfyUI moves models and their layers between RAM and VRAM by what is free, and needs no setting for it"
_ENCODER_MEMORY = "ComfyUI takes it out of VRAM once it is needed for something else"
_DISK = "with dynamic VRAM ComfyUI streams weights from the file as they are needed"
_ATTENTION = "the input attention, the node LightQuantAttention, or a start option of ComfyUI; a sparse one has no counterpart"
_SPARSE = "settings of a sparse, approximate attention that neither ComfyUI nor LightQuant has"
_KERNELS = "picks among LightX2V's own ways to compute the same; ComfyUI has its own"
_SHAPES = "ComfyUI reads it from the checkpoint's shapes"
_FAMILY = "the same for every Wan model, and built into ComfyUI"
_CACHE = "skips steps of the model by LightX2V's rules; ComfyUI's node for that, EasyCache, has settings of its own"
_SOUND = "how LightX2V's sound-to-video pipeline cuts its clips; in ComfyUI that is up to WanSoundImageToVideo and the nodes around it"
_ANIMATE2 = "belongs to LightX2V's Wan-Animate-2 pipeline, which the pack does not have"
_GPUS = "spreads one video over several GPUs with LightX2V's launcher; LightQuant runs on one"
_SERVICE = "belongs to LightX2V's service, which runs its stages on several machines"
_AUTOREGRESSIVE = "belongs to LightX2V's autoregressive pipelines, which the pack does not have"
_RESOLUTION = "samples the first steps at a lower resolution, which ComfyUI's samplers do not do"
_QWEN = "belongs to Qwen-Image, an image model; LightQuant loads Wan"
_SIZE = "the size of the picture: set it with the image nodes before, and width and height"
_PASTE = "LightX2V puts sound into the finished file by it; in ComfyUI that is up to CreateVideo and SaveVideo"
_DANCER = "belongs to LightX2V's Wan-Dancer pipeline, which the pack does not have"
_UNREAD = "LightX2V does not read it either"
_NOTE = "a remark"

_GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (ELSEWHERE, _STEPS, ("infer_steps",)),
    (ELSEWHERE, "shift of ModelSamplingSD3, between the MODEL and KSampler", ("sample_shift",)),
    (ELSEWHERE, "the seed of KSampler", ("seed",)),
    (ELSEWHERE, f"length, {_LATENT}", ("target_video_length", "num_frames")),
    (ELSEWHERE, f"height, {_LATENT}", ("target_height",)),
    (ELSEWHERE, f"width, {_LATENT}", ("target_width",)),
    (ELSEWHERE, "fps of CreateVideo", ("fps", "target_fps")),
    (ELSEWHERE, "the picture of Load Image", ("image_path",)),
    (ELSEWHERE, _SIZE, ("resize_mode", "max_area", "aspect_ratio", "auto_target_shape")),
    (ELSEWHERE, "the file of Load VAE", ("vae_path", "vae_name")),
    (ELSEWHERE, "Load VAE takes the small VAEs (taew2_1, taew2_2, the light ones) too", ("use_tae", "tae_path", "use_lightvae")),
    (ELSEWHERE, "where it is true: VAE Decode (Tiled) in place of VAE Decode", ("use_tiling_vae",)),
    (ELSEWHERE, "where it is true: TorchCompileModel between the MODEL and KSampler", ("use_compile",)),
    (ELSEWHERE, "frame interpolation is a node after VAE Decode: FrameInterpolate in newer ComfyUI", ("video_frame_interpolation",)),
    (ELSEWHERE, "continue_motion_max_frames of WanAnimateToVideo", ("refert_num",)),
    (ELSEWHERE, "where it is true: background_video and character_mask of WanAnimateToVideo are connected", ("replace_flag",)),
    (ELSEWHERE, "ComfyUI's start options --fp32-vae and --bf16-vae", ("vae_dtype", "vae_weight_dtype")),
    (ELSEWHERE, "the model folder is an input of its own, beside the configuration", ("model_path",)),
    (ELSEWHERE, "the task is an input of its own, beside the configuration", ("task",)),
    (COMFYUI, _MEMORY, ("cpu_offload", "offload_granularity", "unload_modules", "clean_cuda_cache")),
    (COMFYUI, _ENCODER_MEMORY, ("t5_cpu_offload", "clip_cpu_offload", "vae_cpu_offload", "t5_offload_granularity")),
    (COMFYUI, _DISK, ("lazy_load", "t5_lazy_load", "num_disk_workers")),
    (COMFYUI, "VAE Decode goes over to tiles by itself where VRAM is short", ("vae_offload_cache",)),
    (ELSEWHERE, _ATTENTION, ("self_attn_1_type", "cross_attn_1_type", "cross_attn_2_type", "adapter_attn_type", "attn_type")),
    (COMFYUI, "ComfyUI picks the image encoder's attention", ("clip_attn_type",)),
    (COMFYUI, _SHAPES, ("dim", "ffn_dim", "in_dim", "out_dim", "num_layers", "num_heads", "freq_dim", "text_dim", "num_channels_latents",
     "vae_stride", "use_img_emb", "model_type", "clip_embed_dim")),
    (COMFYUI, _FAMILY, ("patch_size", "eps", "qk_norm", "cross_attn_norm", "window_size", "num_train_timesteps")),
    (COMFYUI, "ComfyUI pads the text to 512 tokens itself, and does not cut a longer one", ("text_len",)),
    (COMFYUI, "its Wan nodes take the image encoder's last layer but one, as true says; false has no counterpart", ("use_31_block",)),
    (COMFYUI, "a node whose inputs have not changed is not run again", ("enable_reuse",)),
    (COMFYUI, "each LoRA is patched into the model, several to a model too; taking it off restores every bit", ("lora_dynamic_apply",)),
    (NOTHING, "LightX2V does not use it for Wan either", ("offload_ratio",)),
    (NOTHING, _UNREAD, ("convert_model_dtype", "sparse_type", "rotary_chunk")),
    (NOTHING, "computes the rotary embedding in pieces to save memory; ComfyUI has no such setting", ("rope_chunk", "rope_chunk_size")),
    (NOTHING, _SPARSE, ("dynamic_sparse_attn_setting", "rainfusion_attn_setting", "general_sparse_attn_setting", "sol_attn_setting",
     "nbhd_attn_setting", "draft_attn_sparsity_ratio", "spas_sage_attn2_setting", "spas_sage_attn3_setting", "spas_flash_attn4_setting",
     "sparge_attn_setting", "sparge", "sparge_ckpt")),
    (NOTHING, _KERNELS, ("rope_type", "causal_rope_type", "layer_norm_type", "rms_norm_type", "modulate_type", "tp_rms_norm_type",
     "tp_mm_type")),
    (NOTHING, _CACHE, ("teacache_thresh", "use_ret_steps", "coefficients", "magcache_thresh", "magcache_retention_ratio", "magcache_ratios",
     "magcache_calibration", "magcache_K", "residual_diff_threshold", "downsample_factor")),
    (NOTHING, _SOUND, ("audio_sr", "video_duration", "infer_frames", "motion_frames", "drop_first_motion", "num_repeat")),
    (NOTHING, _PASTE, ("audio_mux_prefer_copy",)),
    (NOTHING, _ANIMATE2, ("log_scale", "refer_offset_t", "refer_offset_h", "refer_offset_w", "refer_stride")),
    (NOTHING, _GPUS, ("parallel", "seq_parallel", "cfg_parallel", "tensor_parallel")),
    (NOTHING, _SERVICE, ("disagg_mode", "disagg_config", "rdma_buffer_slot_size", "sub_servers", "num_fragments")),
    (NOTHING, _AUTOREGRESSIVE, ("ar_config", "num_frame_per_block", "num_blocks", "frame_seq_length")),
    (NOTHING, _RESOLUTION, ("changing_resolution", "changing_resolution_steps", "resolution_rate")),
    (NOTHING, _DANCER, ("dancer_stage", "music_inject_layers")),
    (NOTHING, "a distilled model's guidance input of LightX2V's own, which ComfyUI's Wan model does not have", ("enable_dynamic_cfg", "cfg_scale")),
    (NOTHING, _NOTE, ("comment", "comment_parallel")),
)  # fmt: skip

ENTRIES: dict[str, Entry] = {key: Entry(becomes, text) for becomes, text, keys in _GROUPS for key in keys}

QWEN_KEYS: dict[str, str] = dict.fromkeys(
    ("CONDITION_IMAGE_SIZE", "USE_IMAGE_ID_IN_PROMPT", "prompt_template_encode", "prompt_template_encode_start_idx"), _QWEN
)
"""Keys that only the configurations of Qwen-Image have."""

ABOUT_VALUES = ("enable_cfg", "sample_guide_scale", "denoising_step_list", "boundary", "boundary_step_index", "feature_caching")
"""Keys whose text depends on the configuration's values."""


def about_value(key: str, values: dict[str, object], experts: bool) -> Entry:
    """What becomes of a key of ABOUT_VALUES in a configuration with these values."""
    cfg, scale, guided = "cfg of KSampler", values.get("sample_guide_scale"), bool(values.get("enable_cfg"))
    if key == "enable_cfg":
        return Entry(ELSEWHERE, "cfg of KSampler is sample_guide_scale" if guided else "set cfg of KSampler to 1")
    if key == "sample_guide_scale":
        if not guided:
            return Entry(UNUSED, "LightX2V guides only where enable_cfg is true: set cfg of KSampler to 1")
        return Entry(ELSEWHERE, f"{cfg}: the first for the high-noise expert, the second for the low-noise one" if isinstance(scale, list) else cfg)
    if key == "denoising_step_list":
        return Entry(ELSEWHERE, _about_steps(values[key]))
    if key == "feature_caching":
        return Entry(COMFYUI, "no step is skipped, as in ComfyUI") if values[key] == "NoCaching" else Entry(NOTHING, _CACHE)
    if not experts:
        return Entry(UNUSED, "it divides the steps between two experts, and this is one model")
    first, second = "end_at_step of the high-noise expert's KSamplerAdvanced", "start_at_step of the low-noise one's"
    if key == "boundary":
        return Entry(ELSEWHERE, f"the high-noise expert takes the steps whose sigma is at least this: {first}, {second}")
    return Entry(ELSEWHERE, f"for LightX2V's distilled models: {first} and {second}")


def _about_steps(steps: object) -> str:
    own = "the steps of LightX2V's distilled models"
    if not isinstance(steps, list) or not steps:
        return own
    if steps == [1000 * (len(steps) - index) / len(steps) for index in range(len(steps))]:
        return f"{own}: sampler euler, scheduler simple and {len(steps)} steps of KSampler take exactly these"
    return f"{own}: shifted by sample_shift, they are the sigmas of ManualSigmas for SamplerCustomAdvanced"
