"""/lightquant/kernels: the kernel report."""

import asyncio

from aiohttp import web

from ..bridge import kernels_here
from .answers import answers, body_of, refused
from .values import shortened


@answers
async def last(request: web.Request) -> dict:
    """The last report made since ComfyUI started; before the first one, what is known without running anything ("checked": false)."""
    return (await asyncio.to_thread(kernels_here.last_report)).as_dict()


@answers
async def make(request: web.Request) -> dict:
    """Check every kernel and report. Body: {"recheck": whether to forget what earlier checks have found}, or {}."""
    body = await body_of(request)
    recheck = body.pop("recheck", False)
    if body or not isinstance(recheck, bool):
        raise refused(web.HTTPBadRequest, f'expected {{"recheck": true or false}}{_and_not(body)}')
    report = await asyncio.to_thread(kernels_here.make_report, recheck)
    if report is None:
        raise refused(web.HTTPConflict, "a kernel report is being made; ask again when it is done")
    return report.as_dict()


def _and_not(body: dict) -> str:
    return f", and not {shortened(', '.join(body))}" if body else ""
