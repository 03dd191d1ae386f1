"""The graphs that the demo queues, as data in the form of ComfyUI's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TASKS = ("t2v", "i2v")
SAMPLER, SAVE = "sampler", "save"
START_IMAGE = "demo.png"
POSITIVE, NEGATIVE = "a cat walks over the sunny roof", "rain falls on the quiet street"

Node = dict[str, object]


@dataclass(frozen=True)
class Video:
    """What is sampled: pixels, frames, steps and seed."""

    width: int
    height: int
    frames: int
    steps: int
    seed: int = 7


LOADERS = {"dit": "LightQuantLoadDiT", "t5": "LightQuantLoadT5", "clip": "LightQuantLoadCLIP"}
"""The pack's loader of each component; the components are also the names of the graph's loader nodes."""


def node(class_type: str, **inputs: object) -> Node:
    return {"class_type": class_type, "inputs": inputs}


def quantized_loader(component: str, file: str, scheme: str, tokenizer: str | None = None) -> Node:
    """The pack's loader; tokenizer: a name from the T5 loader's dropdown, or None to let it look."""
    more = {"tokenizer": tokenizer or "find it"} if component == "t5" else {}
    return node(LOADERS[component], scheme=scheme, checkpoint=file, dtype="auto", missing_kernel="stop", **more)


def float_loader(component: str, file: str) -> Node:
    """ComfyUI's own loader for the DiT, and the demo's own nodes for the small encoders."""
    if component == "dit":
        return node("UNETLoader", unet_name=file, weight_dtype="default")
    return node({"t5": "LightQuantDemoFloatT5", "clip": "LightQuantDemoFloatCLIP"}[component], checkpoint=file)


def graph(task: str, loaders: Mapping[str, Node], video: Video) -> dict[str, Node]:
    """Text (and, for i2v, an image seen through CLIP) to a saved latent. loaders: one loader node a component."""
    nodes = {
        "dit": loaders["dit"],
        "t5": loaders["t5"],
        "positive": node("CLIPTextEncode", clip=["t5", 0], text=POSITIVE),
        "negative": node("CLIPTextEncode", clip=["t5", 0], text=NEGATIVE),
        **(_image_start(loaders["clip"], video) if task == "i2v" else _text_start(video)),
    }
    positive, negative, latent = (["start", 0], ["start", 1], ["start", 2]) if task == "i2v" else (["positive", 0], ["negative", 0], ["start", 0])
    nodes[SAMPLER] = node(
        "KSampler", model=["dit", 0], positive=positive, negative=negative, latent_image=latent, seed=video.seed, steps=video.steps,
        cfg=5.0, sampler_name="euler", scheduler="simple", denoise=1.0,
    )  # fmt: skip
    nodes[SAVE] = node("SaveLatent", samples=[SAMPLER, 0], filename_prefix=f"latents/{task}")
    return nodes


def _text_start(video: Video) -> dict[str, Node]:
    return {"start": node("EmptyHunyuanLatentVideo", width=video.width, height=video.height, length=video.frames, batch_size=1)}


def _image_start(clip: Node, video: Video) -> dict[str, Node]:
    """The image reaches the model through CLIP alone: there is no small VAE, and with no start image the node never asks its VAE for anything."""
    return {
        "clip": clip,
        "image": node("LoadImage", image=START_IMAGE),
        "seen": node("CLIPVisionEncode", clip_vision=["clip", 0], image=["image", 0], crop="none"),
        "vae": node("VAELoader", vae_name="pixel_space"),
        "start": node(
            "WanImageToVideo", positive=["positive", 0], negative=["negative", 0], vae=["vae", 0], clip_vision_output=["seen", 0],
            width=video.width, height=video.height, length=video.frames, batch_size=1,
        ),
    }  # fmt: skip
