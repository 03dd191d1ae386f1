"""/lightquant/fit: what fits a card."""

import asyncio

from aiohttp import web

from .answers import answers
from .values import number

_NUMBERS = {"vram": ("vram_gib", float), "ram": ("ram_gib", float), "frames": ("frames", int), "width": ("width", int), "height": ("height", int)}
"""Name in the query -> name of the wish and its type."""

_TEXTS = ("model", "gpu", "scheme")


@answers
async def ask(request: web.Request) -> dict:
    """What `lightquant fit` says; VRAM and RAM, in GiB, are this machine's where they are left out."""
    values = request.query
    wish = {name: given for key, (name, kind) in _NUMBERS.items() if (given := number(values, key, kind)) is not None}
    wish.update({name: values[name] for name in _TEXTS if values.get(name)})
    return await asyncio.to_thread(_fit, wish)


def _fit(wish: dict) -> dict:
    from ..bridge.loaded_models import machine_gib
    from ..reports.fit import Wish, fit
    from ..reports.fit.text import to_text

    found = fit(Wish(**{**machine_gib(), **wish}))
    return {**found.as_dict(), "text": to_text(found)}
