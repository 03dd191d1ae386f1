"""The answer as text, for the shell and the browser."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..text import table
from .before import Before
from .cards import MEASURED
from .models import MODELS

if TYPE_CHECKING:
    from .answer import Fit, Option

NONE = "-"


def to_text(fit: "Fit") -> str:
    """What fits, best first; the settings of the best; what does not fit; encoders; notes."""
    parts = [_head(fit), *([_options(fit), _settings(fit)] if fit.fits else [_nothing(fit)]), _refused(fit), _encoders(fit), _notes(fit)]
    return "\n\n".join(part for part in parts if part)


def _head(fit: "Fit") -> str:
    wish = fit.wish
    card = wish.card.name if wish.gpu else f"a card as fast as the {MEASURED.name}, the measured one, as none is named"
    return (
        f"{wish.of_model.title}, {wish.width}x{wish.height}, {wish.frames} frames: {fit.tokens} tokens, on {card}\n"
        f"{wish.vram:g} GiB of VRAM, {max(0, fit.vram_gib):.1f} of them for the run; "
        f"{wish.ram_gib:g} GiB of RAM, {max(0, fit.ram_gib):.1f} of them for models"
    )


def _options(fit: "Fit") -> str:
    rows = [("", "scheme", "from", "format", "s/step", "VRAM", "streamed", "error", "how", "the time is")]
    rows += [(f"{place}.", *_option(option)) for place, option in enumerate(fit.best, 1)]
    more = len(fit.options) - len(fit.best)
    return "\n".join(["Best first, one setting a scheme:", *table(rows), *([f"and {more} more settings"] if more else [])])


def _option(option: "Option") -> tuple[str, ...]:
    streamed = f"{option.streamed_gib:.1f}" if option.streamed_gib else NONE
    disk = f" ({option.from_file_gib:.1f} from disk)" if option.from_file_gib > 0.05 else ""
    how = option.title + (", waits for copies" if option.waits else "")
    error = NONE if option.error is None else f"{option.error:.3f}"
    return (
        option.scheme, option.package, option.format, f"{option.step_s:.2f}", f"{option.vram_gib:.1f} GiB", streamed + disk, error, how, option.speed,
    )  # fmt: skip


def _settings(fit: "Fit") -> str:
    best = fit.options[0]
    lines = ["What to set for the first:", *_steps(best)]
    other = next((option for option in fit.options if option.scheme == best.scheme and option.dynamic is False), None)
    if best.dynamic and other:
        lines += [f"Where dynamic VRAM can't be on ({other.step_s:.2f} s/step):", *_steps(other)]
    return "\n".join(lines)


def _steps(option: "Option") -> Iterator[str]:
    if option.scheme == option.format:
        yield "  the float file in ComfyUI's own loader"
    else:
        yield f"  Load Quantized DiT: a file of format {option.format}, scheme {option.scheme}"
    if option.node is None:
        yield "  no Offload Model node"
    else:
        yield f"  Offload Model: {', '.join(f'{name} {value}' for name, value in option.node.items())}; the rest as it is"
    if option.dynamic is not None:
        yield "  ComfyUI's dynamic VRAM on, as it is by itself on NVIDIA" if option.dynamic else "  ComfyUI started with --disable-dynamic-vram"
    yield f"  offloading: {option.offload}"


def _refused(fit: "Fit") -> str:
    short: dict[str, dict[str, str]] = {}
    for each in fit.refused:
        short.setdefault(each.title, {})[each.format] = f"{each.format} {each.short_gib:.1f}"
    lines = [f"  {title}, GiB short: {', '.join(formats.values())}" for title, formats in short.items()]
    reasons: dict[str, list[str]] = {}
    for scheme, why in fit.unable.items():
        reasons.setdefault(why, []).append(scheme)
    lines += [f"  {', '.join(schemes)}: {why}" for why, schemes in reasons.items()]
    return "\n".join(["What does not fit:", *lines]) if lines else ""


def _nothing(fit: "Fit") -> str:
    least, wish = fit.least, fit.wish
    if least.vram_gib is None:
        return "Nothing fits: no scheme that was asked for can be told about on this card (below)."
    lines = ["Nothing fits."]
    if least.vram_gib > wish.vram:
        lines.append(f"The least VRAM that would do: {least.vram_gib:.1f} GiB.")
    if least.ram_gib > wish.ram_gib:
        lines.append(f"The least RAM that would do: {least.ram_gib:.1f} GiB, for {fit.before[0].title} in {fit.before[0].format}.")
    if least.frames:
        lines.append(f"At this size {least.frames} frames fit.")
    if least.width:
        lines.append(f"At {least.width}x{least.height} all {wish.frames} frames fit.")
    if least.vram_gib > wish.vram and not (least.frames or least.width):
        lines.append(f"No usual size and no number of frames fits: take a smaller model of {', '.join(MODELS)}.")
    return "\n".join(lines)


def _encoders(fit: "Fit") -> str:
    return "\n".join(["Before the model, in RAM:", *(f"  {_encoder(each)}" for each in fit.before)])


def _encoder(each: Before) -> str:
    sizes = ", ".join(f"{name} {gib:.1f}" for name, gib in each.formats.items())
    if not each.fits:
        said = f"does not fit, not even in {each.format}"
    elif each.beside:
        said = f"fits in {each.format}, beside the model"
    else:
        said = f"fits in {each.format}, but not beside the model: what of it is in RAM makes room, and is read again for the next prompt"
    return f"{each.title}: {said} (GiB: {sizes})"


def _notes(fit: "Fit") -> str:
    return "\n".join(["Notes:", *(f"- {note}" for note in fit.notes)])
