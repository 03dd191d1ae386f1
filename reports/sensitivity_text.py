"""A planned recipe as text, for the shell."""

from collections.abc import Iterator, Sequence
from math import sqrt

from ..convert.recipe import FLOAT
from ..formats import FORMATS
from ..loaders.download import readable
from .sensitivity import Planned
from .text import table
from .weight_errors import LayerError


def to_text(planned: Planned, budget: int) -> str:
    """What the recipe gives each format, what the file will be, and what the single formats would give instead. budget: bytes."""
    whole = planned.whole
    pure = [(f"all {each.name}" if each.name != FLOAT else "all float", *_size(each.nbytes), _error(each.error)) for each in planned.pure]
    lines = [
        *table([("format", "layers", "stored", "float", "rel. error", "of the error"), *_by_format(planned)]),
        "",
        *table([("", "size", "bytes", "rel. error"), ("this recipe", *_size(whole.nbytes), _error(whole.error)), *pure]),
        "",
        f"It leaves {readable(budget - whole.nbytes)} of the budget free. {_bound(planned)}",
        "The errors are those of the weights, each layer counting as much as it has weights; what a picture shows of them they don't say.",
    ]
    return "\n".join([*lines, f"Note: {planned.recipe.note}."] if planned.recipe.note else lines)


def _by_format(planned: Planned) -> Iterator[tuple[str, ...]]:
    total = sum(layer.weighted for layer in planned.layers)
    for name in (*FORMATS, FLOAT):
        layers = [layer for layer in planned.layers if layer.format == name]
        if layers:
            weighted = sum(layer.weighted for layer in layers)
            share = f"{100 * weighted / total:.1f} %" if total else ""
            error = _error(sqrt(weighted / sum(layer.elements for layer in layers)))
            yield name, str(len(layers)), readable(_stored(layers)), readable(sum(layer.float_bytes for layer in layers)), error, share
    yield "all else", "", readable(planned.rest), readable(planned.rest), "", ""


def _stored(layers: Sequence[LayerError]) -> int:
    return sum(layer.stored_bytes for layer in layers)


def _size(nbytes: int) -> tuple[str, str]:
    return readable(nbytes), str(nbytes)


def _error(error: float) -> str:
    return f"{error:.5f}"


def _bound(planned: Planned) -> str:
    if planned.whole.error <= planned.least * (1 + 1e-9):
        return "No recipe that fits errs less."
    return f"No recipe that fits errs less than {planned.least:.5f}."
