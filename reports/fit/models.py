"""The models that can be asked about, by their exact shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

Shapes = Mapping[str, tuple[int, ...]]
"""Key, in Wan's names -> shape."""

TEXT, IMAGE, FREQUENCIES, PATCH = 4096, 1280, 256, (1, 2, 2)
"""Widths of the text, of CLIP's image and of the time embedding, and the patch; the same in all of Wan."""


@dataclass(frozen=True)
class Model:
    """A published diffusion model.

    takes, gives: latent channels of its input and output; pixels: of an edge that make one of the latent; image: whether it attends to CLIP's image.
    experts: how many such models take turns in a run.
    """

    name: str
    title: str
    width: int
    ffn: int
    blocks: int
    takes: int
    gives: int
    pixels: int = 8
    image: bool = False
    experts: int = 1

    @property
    def multiple(self) -> int:
        """What width and height of a video are multiples of."""
        return self.pixels * PATCH[1]

    def tokens(self, width: int, height: int, frames: int) -> int:
        """How many tokens a video has; four frames behind the first share one of the latent."""
        return ((frames - 1) // 4 + 1) * (height // self.multiple) * (width // self.multiple)

    @cached_property
    def shapes(self) -> Shapes:
        """Every tensor of one expert's float file."""
        width = self.width
        shapes: dict[str, tuple[int, ...]] = {"patch_embedding.weight": (width, self.takes, *PATCH), "patch_embedding.bias": (width,)}
        linear = {
            "text_embedding.0": (width, TEXT), "text_embedding.2": (width, width), "time_embedding.0": (width, FREQUENCIES),
            "time_embedding.2": (width, width), "time_projection.1": (6 * width, width), "head.head": (4 * self.gives, width),
        }  # fmt: skip
        if self.image:
            linear |= {"img_emb.proj.1": (IMAGE, IMAGE), "img_emb.proj.3": (width, IMAGE)}
            shapes |= {f"img_emb.proj.{norm}.{part}": (size,) for norm, size in ((0, IMAGE), (4, width)) for part in ("weight", "bias")}
        for block in range(self.blocks):
            shapes |= {f"blocks.{block}.{key}": shape for key, shape in self._block().items()}
        shapes["head.modulation"] = (1, 2, width)
        return MappingProxyType(shapes | _with_biases(linear))

    def _block(self) -> dict[str, tuple[int, ...]]:
        width, images = self.width, ("k_img", "v_img") if self.image else ()
        linear = {f"self_attn.{letter}": (width, width) for letter in "qkvo"}
        linear |= {f"cross_attn.{letter}": (width, width) for letter in (*"qkvo", *images)}
        linear |= {"ffn.0": (self.ffn, width), "ffn.2": (width, self.ffn)}
        norms = [f"{attention}.norm_{letter}" for attention in ("self_attn", "cross_attn") for letter in "qk"]
        norms += ["cross_attn.norm_k_img"] if self.image else []
        return {
            "modulation": (1, 6, width), "norm3.weight": (width,), "norm3.bias": (width,), **{f"{norm}.weight": (width,) for norm in norms},
            **_with_biases(linear),
        }  # fmt: skip


def _with_biases(linear: Shapes) -> dict[str, tuple[int, ...]]:
    return {f"{layer}.{part}": shape if part == "weight" else shape[:1] for layer, shape in linear.items() for part in ("weight", "bias")}


_LARGE = {"width": 5120, "ffn": 13824, "blocks": 40, "gives": 16}

_TABLE = (
    Model("wan2.1-t2v-14b", "Wan2.1 T2V 14B", **_LARGE, takes=16),
    Model("wan2.1-i2v-14b", "Wan2.1 I2V 14B", **_LARGE, takes=36, image=True),
    Model("wan2.1-t2v-1.3b", "Wan2.1 T2V 1.3B", 1536, 8960, 30, 16, 16),
    Model("wan2.2-t2v-a14b", "Wan2.2 T2V A14B", **_LARGE, takes=16, experts=2),
    Model("wan2.2-i2v-a14b", "Wan2.2 I2V A14B", **_LARGE, takes=36, experts=2),
    Model("wan2.2-ti2v-5b", "Wan2.2 TI2V 5B", 3072, 14336, 30, 48, 48, pixels=16),
)

MODELS: dict[str, Model] = {model.name: model for model in _TABLE}
