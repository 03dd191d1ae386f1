"""A CLIP_VISION whose layers come from our operations: ComfyUI's own class hard-codes its own."""

import comfy.clip_vision
import comfy.model_management
import comfy.model_patcher
import torch


class QuantizedClipVision(comfy.clip_vision.ClipVisionModel):
    """ComfyUI's ClipVisionModel with another constructor; encoding, loading and saving are inherited."""

    def __init__(self, config: dict, dtype: torch.dtype, operations: type, disable_dynamic: bool = False):
        # The parent's constructor would build a whole float model first, only for it to be thrown away.
        self.config = dict(config)
        self.model_type = config["model_type"]
        self.image_size = config["image_size"]
        self.image_mean = [0.48145466, 0.4578275, 0.40821073]  # OpenAI's CLIP normalization, which Wan's ViT-H was trained with
        self.image_std = [0.26862954, 0.26130258, 0.27577711]
        self.return_all_hidden_states = False
        self.dtype = dtype
        self.load_device = comfy.model_management.text_encoder_device()
        offload_device = comfy.model_management.text_encoder_offload_device()
        self.model = comfy.clip_vision.IMAGE_ENCODERS[self.model_type](config, dtype, offload_device, operations).eval()
        patcher = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
        self.patcher = patcher(self.model, load_device=self.load_device, offload_device=offload_device)

    def is_dynamic(self) -> bool:
        """Asked by ComfyUI's RAM cache of every output it keeps."""
        return self.patcher.is_dynamic()
