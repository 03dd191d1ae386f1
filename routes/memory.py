"""/lightquant/memory: the card and the quantized models on it."""

import asyncio

from aiohttp import web

from .answers import answers


@answers
async def ask(request: web.Request) -> dict:
    """What ComfyUI holds at the moment."""
    from ..bridge.loaded_models import memory_report

    return await asyncio.to_thread(memory_report)
