"""What is measured of an answer and what is not, for people."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .before import vae_of
from .cards import MEASURED, SOURCE
from .measured import measured
from .memory import SYSTEM_GIB, process_gib
from .wish import Wish

if TYPE_CHECKING:
    from .answer import Option


FLASH = (8, 0)
"""The capability that torch's flash attention begins with."""


def notes_on(wish: Wish, options: Sequence["Option"]) -> tuple[str, ...]:
    """Sentences, the most important first."""
    return tuple(_notes(wish, options))


def _notes(wish: Wish, options: Sequence["Option"]) -> Iterator[str]:
    at, model, card = measured(), wish.of_model, wish.card
    files = ", ".join(f"{name} ({commit[:7]})" for name, commit in at.files.items())
    where = f"{at.model.title}, 832x480, 81 frames"
    yield (
        f"Measured, on one {at.card}, of {where} with random weights: steps of {', '.join(at.steps)}; the linears of every scheme that has a time "
        f"({files})."
    )
    paged = at.noted["paged"][-1]
    yield (
        f"Noted by hand on the same card, without a result file: {at.noted['activations_gib']:g} GiB of activations, the share of what is neither "
        f"attention nor linears, {at.noted['pinned_gb_s']:g} GB/s from pinned memory and {at.noted['pageable_gb_s']:g} from other, and that "
        f"an fp8 step under ComfyUI's dynamic VRAM takes no longer in {paged['used_gib']:g} GiB than with room for all."
    )
    if card is not MEASURED:
        yield (
            f"For {card.name} every time is estimated, not measured: the measured parts times the ratio of {SOURCE}. A card that reaches more of its "
            f"data sheet than the {MEASURED.name} does in this attention (about 37 %) is faster than that."
        )
    if card.capability < FLASH:
        yield f"{card.name} has no bf16 and does not run torch's flash attention, which was measured: expect more than is said."
    if not at.offload:
        yield (
            "Offload Model has not been measured on a GPU yet: it is taken to cost nothing but the time that copies take beyond computing. What "
            "chunk_rows saves is counted from ComfyUI's code, not measured; the least that dynamic VRAM can do with is taken to be two blocks."
        )
    yield (
        "A step is one forward, as with cfg 1 and the 4-step files; another cfg takes twice as long, and more activations where ComfyUI computes "
        "both at once. Attention is ComfyUI's own choice."
    )
    yield (
        f"Assumed: {wish.reserve_gib:g} GiB of VRAM for the CUDA context and others, {SYSTEM_GIB:g} GiB of RAM for the system; measured: "
        f"{process_gib():.1f} GiB of RAM for ComfyUI itself."
    )
    if any(option.from_file_gib for option in options):
        yield f"Where the RAM is too small, the rest is read from the disk at every step, at {wish.disk_gb_s:g} GB/s: an assumption."
    yield (
        "Errors are those of random weights, and say nothing of pictures; heavy-tailed weights were seen to err more in int8 than in fp8, Gaussian "
        "ones less."
    )
    if model.experts > 1:
        yield f"{model.title} has {model.experts} experts that take turns: VRAM is for one, RAM is shared among them."
    vae = vae_of(model)
    decode = vae.decode_gib(wish.width, wish.height)
    tiles = ", so it decodes in tiles" if decode > wish.vram - wish.reserve_gib else ""
    yield f"{vae.title} ({2 * vae.parameters / 2**30:.2f} GiB) comes last: ComfyUI itself expects {decode:.1f} GiB for decoding{tiles}; not measured."
