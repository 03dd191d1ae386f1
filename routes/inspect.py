"""/lightquant/inspect: what a checkpoint is."""

import asyncio

from aiohttp import web

from ..loaders.components import COMPONENTS
from .answers import answers, body_of, is_gone, refused
from .values import check_names, flag, one_of, text


@answers
async def make(request: web.Request) -> dict:
    """The inspector's report, its text and its picture. Body: component, checkpoint, data (whether to read the tensors too; one at a time)."""
    from ..bridge.inspecting import inspect_for_a_page

    body = await body_of(request)
    check_names(body, ("component", "checkpoint", "data"))
    component, name, data = one_of(body, "component", COMPONENTS), text(body, "checkpoint"), flag(body, "data")
    found = await asyncio.to_thread(inspect_for_a_page, component, name, data, lambda: is_gone(request))
    if found is None:
        raise refused(web.HTTPConflict, "the data of another checkpoint is being read; ask again when it is done")
    return found
