"""/lightquant/choice: what a loader with the given values would do."""

import asyncio

from aiohttp import web

from ..bridge.request import FIND, STOP, SUBSTITUTE
from ..formats import DTYPES
from ..loaders.components import COMPONENTS
from ..schemes import AUTO
from .answers import answers
from .values import one_of, text


@answers
async def ask(request: web.Request) -> dict:
    """From headers and what is known: no weight is read, no kernel checked. With low_noise it is about the pair's loader."""
    from ..bridge.choice import choice, pair_choice

    values = request.query
    component = one_of(values, "component", COMPONENTS)
    checkpoint, scheme = text(values, "checkpoint", FIND), text(values, "scheme", AUTO)
    more = (scheme, one_of(values, "dtype", (AUTO, *DTYPES), AUTO), one_of(values, "missing_kernel", (SUBSTITUTE, STOP), SUBSTITUTE))
    if "low_noise" in values:
        return await asyncio.to_thread(pair_choice, checkpoint, text(values, "low_noise"), *more)
    return await asyncio.to_thread(choice, component, checkpoint, *more, text(values, "tokenizer", FIND))
