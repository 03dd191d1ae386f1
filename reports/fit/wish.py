"""What is asked: a machine, a model and a video."""

from dataclasses import dataclass
from math import isfinite

from ...errors import FitError
from .cards import MEASURED, Card, card_of
from .models import MODELS, Model
from .runs_on import ASKABLE

DISK_GB_S = 3.0
RESERVE_GIB = 0.8


@dataclass(frozen=True)
class Wish:
    """vram_gib: of the card, None for what the named card has; ram_gib: of the machine. frames, width, height: of the video.

    model: a name from MODELS; gpu: a card's name, None for the measured one; scheme: one of ASKABLE, None for all.
    disk_gb_s: what the disk reads in a second; reserve_gib: VRAM that is not for the run: the CUDA context, other programs, ComfyUI's own reserve.
    The last two are assumptions. Raises FitError.
    """

    vram_gib: float | None
    ram_gib: float
    frames: int = 81
    width: int = 832
    height: int = 480
    model: str = MODELS["wan2.1-t2v-14b"].name
    gpu: str | None = None
    scheme: str | None = None
    disk_gb_s: float = DISK_GB_S
    reserve_gib: float = RESERVE_GIB

    def __post_init__(self):
        _check_name("model", self.model, MODELS)
        if self.scheme is not None:
            _check_name("scheme", self.scheme, ASKABLE)
        if self.vram_gib is None and self.gpu is None:
            raise FitError("Neither the VRAM nor the card is given. Give the VRAM in GiB, or the card's name.")
        _ = self.card
        for what, value in (("VRAM", self.vram), ("RAM", self.ram_gib), ("disk's speed", self.disk_gb_s)):
            if not (isfinite(value) and value > 0):
                raise FitError(f"The {what} is given as {value:g}, where a number above 0 is needed.")
        if not (isfinite(self.reserve_gib) and self.reserve_gib >= 0):
            raise FitError(f"The reserved VRAM is given as {self.reserve_gib:g}, where 0 or more is needed.")
        if self.frames < 1 or (self.frames - 1) % 4:
            near = max(1, (self.frames - 1) // 4 * 4 + 1)
            raise FitError(f"{self.frames} frames are asked for, where Wan makes 4 n + 1 of them: take {near} or {near + 4}.")
        multiple = self.of_model.multiple
        for what, value in (("width", self.width), ("height", self.height)):
            if value < 1 or value % multiple:
                near = max(multiple, value // multiple * multiple)
                raise FitError(
                    f"The {what} is {value}, where {self.of_model.title} needs a multiple of {multiple}: take {near} or {near + multiple}."
                )

    @property
    def card(self) -> Card:
        return card_of(self.gpu) if self.gpu is not None else MEASURED

    @property
    def vram(self) -> float:
        """GiB of the card."""
        return self.card.vram if self.vram_gib is None else self.vram_gib

    @property
    def of_model(self) -> Model:
        return MODELS[self.model]

    @property
    def tokens(self) -> int:
        return self.of_model.tokens(self.width, self.height, self.frames)


def _check_name(what: str, name: str, known) -> None:
    if name not in known:
        raise FitError(f"There is no {what} {name}. There are: {', '.join(known)}.")
