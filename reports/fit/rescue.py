"""What would help where nothing fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .before import encoders_of, smallest_gib
from .memory import SYSTEM_GIB, activations, process_gib
from .runs_on import ASKABLE, format_of, runs_on
from .sizes import FLOAT, GIB, sizes
from .ways import OWN, WAYS, least_vram
from .wish import Wish

_SIZES = ((1280, 704), (832, 480), (640, 352), (480, 256))
"""Of videos, largest first; multiples of what any of the models needs."""


@dataclass(frozen=True)
class Least:
    """vram_gib, ram_gib: of card and machine, the least that would do; vram_gib is None where no VRAM would.

    frames: the most that fit at this size; width, height: the largest usual size at which this many frames fit. 0 where there are none.
    """

    vram_gib: float | None
    ram_gib: float
    frames: int
    width: int
    height: int


def least(wish: Wish, leasts: Sequence[float]) -> Least:
    """What would do for a wish that nothing fits. leasts: GiB that each of its settings needs for the run."""
    ram = SYSTEM_GIB + process_gib() + max(smallest_gib(encoder) for encoder in encoders_of(wish.of_model))
    vram = min(leasts) + wish.reserve_gib if leasts else None
    if vram is None or vram <= wish.vram:
        return Least(vram, ram, 0, 0, 0)
    fewer = (replace(wish, frames=frames) for frames in range(wish.frames - 4, 0, -4))
    frames = next((each.frames for each in fewer if _needs(each) <= wish.vram), 0)
    turned = wish.height > wish.width
    smaller = [(size[::-1] if turned else size) for size in _SIZES if size[0] * size[1] < wish.width * wish.height]
    width, height = next((size for size in smaller if _needs(replace(wish, width=size[0], height=size[1])) <= wish.vram), (0, 0))
    return Least(vram, ram, frames, width, height)


def _needs(wish: Wish) -> float:
    """GiB of the card that the most frugal setting takes."""
    schemes = [scheme for scheme in ((wish.scheme,) if wish.scheme else ASKABLE) if runs_on(scheme, wish.card)]
    formats = {format_of(scheme) for scheme in schemes}
    model = wish.of_model
    needs = (
        least_vram(way, sizes(model, name), activations(model, wish.tokens, way.chunk_rows))
        for name in formats for way in WAYS if name != FLOAT or way.kind != OWN
    )  # fmt: skip
    return min(needs) / GIB + wish.reserve_gib
