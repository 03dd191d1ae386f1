"""What runs before and behind the diffusion model and has to fit too: the encoders, which LightQuant quantizes, and the VAE, which it doesn't."""

from typing import NamedTuple

from ...formats import FP8_CHANNEL, INT4_G128, INT8_CHANNEL
from .encoders import CLIP, T5, Encoder
from .models import Model
from .sizes import FLOAT, GIB, encoder_bytes, sizes
from .wish import Wish

_MOST_EXACT_FIRST = (FLOAT, INT8_CHANNEL.name, FP8_CHANNEL.name, INT4_G128.name)

FLOAT_NAMES = {"t5": "bf16", "clip": "fp16"}
"""What the encoders' float files are."""


class Before(NamedTuple):
    """An encoder. format: the most exact that fits together with the model (beside); else int8-channel, if that fits alone; else the smallest.

    fits: whether that fits alone; formats: GiB in each.
    """

    component: str
    title: str
    format: str
    gib: float
    fits: bool
    beside: bool
    formats: dict[str, float]


class VAE(NamedTuple):
    """A VAE that nobody quantizes. parameters: how many; per_pixel: bytes that ComfyUI takes decoding to need, for a pixel and a byte of a number."""

    title: str
    parameters: int
    per_pixel: int

    def decode_gib(self, width: int, height: int) -> float:
        """What ComfyUI itself expects decoding to take; where there is less it decodes in tiles."""
        return 2 * self.per_pixel * width * height / GIB


_VAES = {8: VAE("Wan2.1's VAE", 126_892_531, 7000), 16: VAE("Wan2.2's VAE", 704_688_668, 8000)}
"""By how many pixels of an edge it makes one of the latent."""


def before(wish: Wish, ram_gib: float, format_name: str | None) -> tuple[Before, ...]:
    """The encoders of a wish's model. ram_gib: for models; format_name: of the diffusion model beside them, None where none fits."""
    model = wish.of_model
    weights = model.experts * sizes(model, format_name).all / GIB if format_name else 0.0
    return tuple(_encoder(encoder, ram_gib, weights) for encoder in encoders_of(model))


def encoders_of(model: Model) -> tuple[Encoder, ...]:
    return (T5, CLIP) if model.image else (T5,)


def smallest_gib(encoder: Encoder) -> float:
    """In the format that takes least."""
    return min(encoder_bytes(encoder, name) for name in _MOST_EXACT_FIRST) / GIB


def vae_of(model: Model) -> VAE:
    return _VAES[model.pixels]


def _encoder(encoder: Encoder, ram_gib: float, weights_gib: float) -> Before:
    formats = {name: encoder_bytes(encoder, name) / GIB for name in _MOST_EXACT_FIRST}
    taken = next((name for name in _MOST_EXACT_FIRST if formats[name] + weights_gib <= ram_gib), None)
    beside = taken is not None
    if not beside:
        taken = INT8_CHANNEL.name if formats[INT8_CHANNEL.name] <= ram_gib else min(formats, key=formats.get)
    names = {FLOAT: FLOAT_NAMES[encoder.component]}
    named = {names.get(name, name): gib for name, gib in formats.items()}
    return Before(encoder.component, encoder.title, names.get(taken, taken), formats[taken], formats[taken] <= ram_gib, beside, named)
