"""umt5-xxl and the ViT-H of Wan in their own names, random weights of true or small size, and a tokenizer with as many pieces as umt5 has words."""

import struct
from collections.abc import Callable, Iterator

import torch
from random_wan import Tensors, draw, stored

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def t5_shapes(words: int, ffn: int, heads: int, blocks: int, width: int = 4096) -> Shapes:
    """Every key of umt5's encoder; heads are 64 wide."""
    yield "token_embedding.weight", (words, width)
    yield "norm.weight", (width,)
    inner = heads * 64
    for block in range(blocks):
        name = f"blocks.{block}."
        yield from ((f"{name}norm{number}.weight", (width,)) for number in (1, 2))
        yield name + "pos_embedding.embedding.weight", (32, heads)
        yield from ((f"{name}attn.{letter}.weight", (inner, width)) for letter in "qkv")
        yield name + "attn.o.weight", (width, inner)
        yield from ((f"{name}ffn.{layer}.weight", (ffn, width)) for layer in ("gate.0", "fc1"))
        yield name + "ffn.fc2.weight", (width, ffn)


def clip_shapes(mlp: int, layers: int, width: int = 1280, image: int = 224, patch: int = 14) -> Shapes:
    """Every key of the vision half of Wan's open-clip model."""
    yield "visual.patch_embedding.weight", (width, 3, patch, patch)
    yield "visual.cls_embedding", (1, 1, width)
    yield "visual.pos_embedding", (1, (image // patch) ** 2 + 1, width)
    yield "visual.head", (width, 1024)
    sizes = {}
    for layer in range(layers):
        name = f"visual.transformer.{layer}."
        sizes |= {name + "attn.to_qkv": (3 * width, width), name + "attn.proj": (width, width)}
        sizes |= {name + "mlp.0": (mlp, width), name + "mlp.2": (width, mlp)}
        sizes |= {f"{name}norm{number}": (width,) for number in (1, 2)}
    sizes |= {"visual.pre_norm": (width,), "visual.post_norm": (width,)}
    for name, shape in sizes.items():
        yield name + ".weight", shape
        yield name + ".bias", shape[:1]


def shapes(component: str, small: bool) -> Shapes:
    """Of t5 or clip; small: a few layers of the true kind."""
    made: dict[str, Callable[[], Shapes]] = {
        "t5": lambda: t5_shapes(1024, 256, 2, 2) if small else t5_shapes(256384, 10240, 64, 24),
        "clip": lambda: clip_shapes(512, 3) if small else clip_shapes(5120, 32),
    }
    return made[component]()


DTYPES = {"t5": torch.bfloat16, "clip": torch.float16}
"""Of what is not quantized, as in LightX2V's files."""


def model(component: str, storage: str, small: bool) -> Tensors:
    """A component in a storage of random_wan's, on the CPU."""
    drawn = ((key, _sized(key, draw(key, shape, index, heavy=False))) for index, (key, shape) in enumerate(shapes(component, small)))
    return stored(component, drawn, storage, DTYPES[component])


def _sized(key: str, value: torch.Tensor) -> torch.Tensor:
    """umt5 does not divide its logits by the head's width, so its q and k are small."""
    return value * 0.35 if key.endswith(("attn.q.weight", "attn.k.weight")) else value


def spiece(words: int) -> bytes:
    """A sentencepiece model of so many pieces: a small one, and pieces that no text has behind it."""
    import sentencepiece
    import small_models

    made = small_models.spiece()
    count = sentencepiece.SentencePieceProcessor(model_proto=made).get_piece_size()
    return made + b"".join(_piece(f"<never {number}>".encode()) for number in range(count, words))


def _piece(text: bytes) -> bytes:
    """As the model's protobuf has it: a field of two, the text and its score."""
    message = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", -1000.0)
    return b"\x0a" + bytes([len(message)]) + message
