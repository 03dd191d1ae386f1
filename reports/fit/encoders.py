"""The encoders that run before the diffusion model, by their exact shapes."""

from dataclasses import dataclass

from .models import Shapes


@dataclass(frozen=True)
class Encoder:
    """component: as elsewhere in the pack; title: as its publishers call it; key: of its tables below."""

    component: str
    title: str

    @property
    def shapes(self) -> Shapes:
        """Every tensor of its float file, in Wan's names."""
        return _SHAPES[self.component]()


def t5_shapes(words: int = 256384, width: int = 4096, ffn: int = 10240, heads: int = 64, blocks: int = 24) -> dict[str, tuple[int, ...]]:
    """A umt5 encoder's; heads are 64 wide. As it is published if nothing is given."""
    inner = 64 * heads
    block = {
        "norm1.weight": (width,), **{f"attn.{letter}.weight": (inner, width) for letter in "qkv"}, "attn.o.weight": (width, inner),
        "norm2.weight": (width,), "ffn.gate.0.weight": (ffn, width), "ffn.fc1.weight": (ffn, width), "ffn.fc2.weight": (width, ffn),
        "pos_embedding.embedding.weight": (32, heads),
    }  # fmt: skip
    within = {f"blocks.{index}.{key}": shape for index in range(blocks) for key, shape in block.items()}
    return {"token_embedding.weight": (words, width), **within, "norm.weight": (width,)}


def clip_shapes(width: int = 1280, mlp: int = 5120, layers: int = 32, image: int = 224, patch: int = 14) -> dict[str, tuple[int, ...]]:
    """The vision half of Wan's CLIP; as it is published if nothing is given."""
    linear = {"attn.to_qkv": (3 * width, width), "attn.proj": (width, width), "mlp.0": (mlp, width), "mlp.2": (width, mlp)}
    layer = {f"{norm}.{part}": (width,) for norm in ("norm1", "norm2") for part in ("weight", "bias")}
    layer |= {f"{name}.{part}": shape if part == "weight" else shape[:1] for name, shape in linear.items() for part in ("weight", "bias")}
    return {
        "log_scale": (), "visual.patch_embedding.weight": (width, 3, patch, patch), "visual.cls_embedding": (1, 1, width),
        "visual.pos_embedding": (1, (image // patch) ** 2 + 1, width), "visual.head": (width, 1024),
        **{f"visual.{norm}.{part}": (width,) for norm in ("pre_norm", "post_norm") for part in ("weight", "bias")},
        **{f"visual.transformer.{index}.{key}": shape for index in range(layers) for key, shape in layer.items()},
    }  # fmt: skip


_SHAPES = {"t5": t5_shapes, "clip": clip_shapes}

T5, CLIP = Encoder("t5", "umt5-xxl"), Encoder("clip", "CLIP ViT-H/14")
