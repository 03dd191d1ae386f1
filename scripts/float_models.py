"""The small float models through ComfyUI's own classes: what the quantized ones are compared with.

ComfyUI's loader nodes recognise the encoders by their full size, so the small ones are given their sizes here and use nothing of the pack but its
key names. Import ComfyUI first.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import comfy.clip_vision
import comfy.sd
import comfy.text_encoders.wan
import torch
from comfy.supported_models_base import ClipTarget
from lightquant.loaders import clip_keys, t5_keys


def load_dit(tensors: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32):
    """A MODEL from float tensors, as Load Diffusion Model gives it."""
    return comfy.sd.load_diffusion_model_state_dict(dict(tensors), model_options={"dtype": dtype})


def load_t5(tensors: Mapping[str, torch.Tensor], spiece: bytes) -> comfy.sd.CLIP:
    """A CLIP of type wan, fp32, from float tensors in Wan's names."""
    renamed = t5_keys.rename(tensors)
    blocks = sum(key.endswith("layer.0.layer_norm.weight") for key in renamed)
    words, width = tensors["token_embedding.weight"].shape
    heads = tensors["blocks.0.pos_embedding.embedding.weight"].shape[1]
    config = {
        "num_layers": blocks, "vocab_size": words, "d_model": width, "num_heads": heads,
        "d_kv": tensors["blocks.0.attn.q.weight"].shape[0] // heads, "d_ff": tensors["blocks.0.ffn.fc1.weight"].shape[0],
    }  # fmt: skip
    return comfy.sd.CLIP(
        ClipTarget(comfy.text_encoders.wan.WanT5Tokenizer, comfy.text_encoders.wan.te(dtype_t5=torch.float32)),
        tokenizer_data={"spiece_model": torch.frombuffer(bytearray(spiece), dtype=torch.uint8)},
        state_dict=[renamed],
        model_options={"umt5xxl_model_config": config, "dtype": torch.float32},
    )


def load_clip(tensors: Mapping[str, torch.Tensor]) -> comfy.clip_vision.ClipVisionModel:
    """A CLIP_VISION, fp32, from float tensors in Wan's names."""
    renamed = {key: tensor.float() for key, tensor in clip_keys.rename(tensors).items()}
    width, _, patch, _ = renamed["vision_model.embeddings.patch_embedding.weight"].shape
    positions = renamed["vision_model.embeddings.position_embedding.weight"].shape[0]
    config = {
        "model_type": "clip_vision_model", "hidden_act": "gelu", "layer_norm_eps": 1e-5, "num_channels": 3, "patch_size": patch,
        "hidden_size": width, "num_attention_heads": width // 80, "image_size": round((positions - 1) ** 0.5) * patch,
        "num_hidden_layers": sum(key.endswith("layer_norm1.weight") for key in renamed),
        "intermediate_size": renamed["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "projection_dim": renamed["visual_projection.weight"].shape[0],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        # ComfyUI 0.16 and 0.18 take the configuration from a file only.
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config))
        model = comfy.clip_vision.ClipVisionModel(str(path))
    model.model.float()
    model.dtype = torch.float32
    model.load_sd(renamed)
    return model
