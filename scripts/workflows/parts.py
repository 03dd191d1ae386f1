"""What several workflows share: columns of nodes, and the values that belong to a model."""

from __future__ import annotations

from typing import NamedTuple

from .files import T5_FP8, VAE
from .graph import Column, Link, Look, Node, node

POSITIVE = "A red fox runs through fresh snow between tall pines, soft morning light, the camera follows it."
NEGATIVE = "blurred, overexposed, still picture, subtitles, watermark, deformed limbs, crowded background"
START_IMAGE = "example.png"
"""ComfyUI brings it along in its input folder."""

STATUS = Look(room=120)
"""The room for what a node of ours says it did."""


class Video(NamedTuple):
    """What is sampled: pixels and frames."""

    width: int = 832
    height: int = 480
    frames: int = 81

    def inputs(self) -> dict[str, int]:
        return {"width": self.width, "height": self.height, "length": self.frames, "batch_size": 1}


DISTILLED = {"steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
"""LightX2V's 4-step files: no guidance; with a shift of 5 the simple schedule is their own."""
FULL = {"steps": 30, "cfg": 6.0, "sampler_name": "uni_pc", "scheduler": "simple"}
"""Wan2.1 as it was published."""
SHIFT = {"distilled": 5.0, "full": 8.0}


def loader(type_: str, checkpoint: str, scheme: str = "auto") -> Node:
    """One of the pack's loaders."""
    return node(type_, STATUS, checkpoint=checkpoint, scheme=scheme)


def vae() -> Node:
    return node("VAELoader", vae_name=VAE)


def text_loaders(t5: str = T5_FP8) -> dict[str, Node]:
    """The loaders that every video needs beside its DiT."""
    return {"t5": loader("LightQuantLoadT5", t5), "vae": vae()}


def shifted(model: Link, shift: float) -> Node:
    return node("ModelSamplingSD3", model=model, shift=shift)


T5 = Link("t5")
"""The text encoder's loader, as it is called in every workflow."""


def prompts(clip: Link = T5) -> dict[str, Node]:
    return {
        "positive": node("CLIPTextEncode", Look("Prompt · 提示词", text=80), clip=clip, text=POSITIVE),
        "negative": node("CLIPTextEncode", Look("Negative prompt · 负面提示词", text=60), clip=clip, text=NEGATIVE),
    }


def prompt_column(video: Video, clip: Link = T5) -> Column:
    """The prompts and an empty video."""
    return Column("2 · Prompt, size · 提示词与尺寸", {**prompts(clip), "video": node("EmptyHunyuanLatentVideo", **video.inputs())})


def image_column(video: Video, seen: bool) -> Column:
    """The prompts and a video that begins with an image; seen: CLIP sees the image too."""
    clip = {"seen": node("CLIPVisionEncode", clip_vision=Link("clip"), image=Link("image"), crop="none")} if seen else {}
    start = node(
        "WanImageToVideo", positive=Link("positive"), negative=Link("negative"), vae=Link("vae"), start_image=Link("image"),
        **({"clip_vision_output": Link("seen")} if seen else {}), **video.inputs(),
    )  # fmt: skip
    image = {"image": node("LoadImage", Look("Start image · 起始图", room=230), image=START_IMAGE)}
    return Column("2 · Image and prompt · 图片与提示词", {**image, **clip, **prompts(), "video": start})


FROM_TEXT = {"positive": Link("positive"), "negative": Link("negative"), "latent_image": Link("video")}
FROM_IMAGE = {"positive": Link("video", 0), "negative": Link("video", 1), "latent_image": Link("video", 2)}
"""What a sampler begins with, behind `prompt_column` and behind `image_column`."""


def decoded(samples: str = "sampler", prefix: str = "video/LightQuant", tiled: bool = False) -> Column:
    """Latents to a video file."""
    decode = node("VAEDecodeTiled", samples=Link(samples), vae=Link("vae"), tile_size=256, overlap=64) if tiled else node(
        "VAEDecode", samples=Link(samples), vae=Link("vae"))  # fmt: skip
    return Column("4 · Video · 视频", {"decode": decode, **saved(Link("decode"), prefix)})


def saved(frames: Link, prefix: str) -> dict[str, Node]:
    return {
        "film": node("CreateVideo", images=frames, fps=16.0),
        "save": node("SaveVideo", Look(room=300), video=Link("film"), filename_prefix=prefix, format="auto", codec="auto"),
    }
