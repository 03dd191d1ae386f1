"""The graph's nodes, called as ComfyUI's server calls them."""

import torch

INPUTS = {"scheme": "auto", "checkpoint": "find it", "dtype": "auto", "missing_kernel": "substitute"}


def load_dit(checkpoint: str, **inputs: str):
    from lightquant.nodes.loaders import LoadDiT

    return LoadDiT.execute(**{**INPUTS, "checkpoint": checkpoint, **inputs}).args[0]


def load_pair(**inputs: str):
    """The two MODELs."""
    from lightquant.nodes.pair import LoadDiTPair

    chosen = {key: value for key, value in INPUTS.items() if key != "checkpoint"} | {"high_noise": "find it", "low_noise": "find it"}
    return LoadDiTPair.execute(**{**chosen, **inputs}).args


def load_t5(checkpoint: str, **inputs: str):
    from lightquant.nodes.loaders import LoadT5

    return LoadT5.execute(**{**INPUTS, "tokenizer": "find it", "checkpoint": checkpoint, **inputs}).args[0]


def load_clip(checkpoint: str, **inputs: str):
    from lightquant.nodes.loaders import LoadCLIP

    return LoadCLIP.execute(**{**INPUTS, "checkpoint": checkpoint, **inputs}).args[0]


def conditioning(seed: int = 0, width: int = 4096, tokens: int = 24, image: bool = False, concat: int = 16) -> list:
    """A text conditioning with outlier channels; with image, also what CLIPVisionEncode and WanImageToVideo add for image to video.

    concat: the channels of the latents that are concatenated to the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(1, tokens, width, generator=generator)
    text[:, :, ::512] *= 10
    extra = {}
    if image:
        from comfy.clip_vision import Output

        seen = Output()
        seen["penultimate_hidden_states"] = torch.randn(1, 257, 1280, generator=generator)
        extra = {"clip_vision_output": seen, "concat_latent_image": torch.randn(1, concat, 2, 8, 8, generator=generator),
                 "concat_mask": torch.ones(1, 1, 2, 8, 8)}  # fmt: skip
    return [[text, extra]]


def sample(
    model, positive: list, negative: list, batch: int = 1, steps: int = 2, cfg: float = 5.0, seed: int = 1, channels: int = 16
) -> torch.Tensor:
    """Latents from the stock KSampler node."""
    import nodes

    latent = {"samples": torch.zeros(batch, channels, 2, 8, 8)}
    return nodes.KSampler().sample(model, seed, steps, cfg, "euler", "simple", positive, negative, latent)[0]["samples"]
