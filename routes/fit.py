"""/lightquant/fit: what fits a card; /lightquant/fit/models: what can be asked about."""

import asyncio

from aiohttp import web

from .answers import answers
from .values import number

_NUMBERS = {"vram": ("vram_gib", float), "ram": ("ram_gib", float), "frames": ("frames", int), "width": ("width", int), "height": ("height", int)}
"""Name in the query -> name of the wish and its type."""

_TEXTS = ("model", "gpu", "scheme")


@answers
async def ask(request: web.Request) -> dict:
    """What `lightquant fit` says. RAM, and VRAM where no card is named, are this machine's if they are left out; both in GiB."""
    values = request.query
    wish = {name: given for key, (name, kind) in _NUMBERS.items() if (given := number(values, key, kind)) is not None}
    wish.update({name: values[name] for name in _TEXTS if values.get(name)})
    return await asyncio.to_thread(_fit, wish)


@answers
async def models(request: web.Request) -> dict:
    """What a form begins with: the models that there are figures for, the cards (measured: the one that is taken where none is named) and schemes.

    Of this machine: card, None where the table has none of its name; vram (None: no card) and ram, in GiB.
    """
    return await asyncio.to_thread(_models)


def _models() -> dict:
    from ..bridge.loaded_models import card_name, machine_gib
    from ..reports.fit.cards import CARDS, MEASURED, card_of_device
    from ..reports.fit.models import MODELS
    from ..reports.fit.runs_on import ASKABLE

    (vram, ram), card = machine_gib(), card_of_device(card_name() or "")
    return {
        "models": [{"name": model.name, "title": model.title, "multiple": model.multiple} for model in MODELS.values()],
        "cards": [{"name": card.name, "vram": card.vram} for card in CARDS.values()],
        "measured": MEASURED.name,
        "schemes": [*ASKABLE],
        "card": card and card.name,
        "vram": vram,
        "ram": ram,
    }


def _fit(wish: dict) -> dict:
    from ..bridge.loaded_models import machine_gib
    from ..reports.fit import Wish, fit

    vram, ram = machine_gib()
    return fit(Wish(**{"vram_gib": None if "gpu" in wish else vram, "ram_gib": ram, **wish})).as_dict()
