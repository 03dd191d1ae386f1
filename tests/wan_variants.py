"""Small float models of every Wan that ComfyUI builds: the keys and shapes are those of ComfyUI's own classes, the weights are ours."""

from typing import NamedTuple

import small_models
import torch

SIZE = {"dim": 256, "ffn_dim": 512, "num_heads": 2, "num_layers": 2, "text_dim": small_models.TEXT_WIDTH}


class Variant(NamedTuple):
    """A Wan model. kind: the name of its class in comfy.ldm.wan; more: its arguments; channels: of its latents; image: whether it is shown one.

    concat: the channels of the latents beside the noise.
    """

    kind: str
    more: dict
    channels: int = 16
    image: bool = False
    concat: int = 16


VARIANTS = {
    "2.1 T2V, 2.2 T2V A14B": Variant("WanModel", {"model_type": "t2v"}),
    "2.1 I2V": Variant("WanModel", {"model_type": "i2v", "in_dim": 36}, image=True),
    "2.1 FLF2V": Variant("WanModel", {"model_type": "i2v", "in_dim": 36, "flf_pos_embed_token_number": 257}, image=True),
    "2.1 Fun Control": Variant("WanModel", {"model_type": "i2v", "in_dim": 48}, image=True, concat=32),
    "2.1 VACE": Variant("VaceWanModel", {"model_type": "vace", "vace_in_dim": 96, "vace_layers": 1}),
    "2.1 Camera": Variant("CameraWanModel", {"model_type": "camera", "in_dim": 32}, image=True),
    "2.1 HuMo": Variant("HumoWanModel", {"model_type": "humo", "in_dim": 36}, image=True),
    "2.2 I2V A14B": Variant("WanModel", {"model_type": "t2v", "in_dim": 36}),
    "2.2 Camera": Variant("CameraWanModel", {"model_type": "camera_2.2", "in_dim": 36}),
    "2.2 TI2V 5B": Variant("WanModel", {"model_type": "t2v", "in_dim": 48, "out_dim": 48}, channels=48),
    # A face adapter sits behind every fifth block.
    "2.2 Animate": Variant("AnimateWanModel", {"model_type": "animate", "in_dim": 36, "num_layers": 6}, image=True),
    "2.2 S2V": Variant("WanModel_S2V", {"model_type": "s2v"}),
}


def tensors(name: str, seed: int = 5) -> dict[str, torch.Tensor]:
    """The variant's tensors in Wan's names, fp32."""
    import comfy.ldm.wan.model
    import comfy.ldm.wan.model_animate

    variant = VARIANTS[name]
    classes = {**vars(comfy.ldm.wan.model), **vars(comfy.ldm.wan.model_animate)}
    with torch.device("meta"):
        # torch's own layers: with dynamic VRAM ComfyUI's have no parameters before they are loaded.
        module = classes[variant.kind](**{**SIZE, **variant.more}, device="meta", dtype=torch.float32, operations=torch.nn)
    draw = small_models.Weights(seed)
    return {key: _drawn(draw, key, tuple(tensor.shape)) for key, tensor in module.state_dict().items()}


def _drawn(draw: small_models.Weights, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    if "norm" in key and key.endswith("weight") and len(shape) == 1:
        return draw.normal(*shape, std=0.1, mean=1.0)
    if len(shape) == 2 and key.endswith(".weight"):
        return draw.matrix(*shape)
    if len(shape) > 2 and key.endswith(".weight"):
        return draw.normal(*shape, std=torch.Size(shape[1:]).numel() ** -0.5)
    return draw.normal(*shape, std=0.3 if "modulation" in key else 0.1)
