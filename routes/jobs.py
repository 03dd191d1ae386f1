"""/lightquant/jobs: conversions, started, watched and stopped by the browser."""

import asyncio

from aiohttp import web

from ..bridge.settings import has_one_user
from ..convert.names import ORIGINAL, RENAMES
from ..convert.settings import LAYOUTS, LIGHTX2V, READERS, SINGLE
from ..formats import ABSMAX, DTYPES, FORMATS, MSE
from ..loaders.components import COMPONENTS
from ..schemes import AUTO
from .answers import answers, body_of, refused
from .values import check_names, objects, one_of, real, text, texts

CONVERT = "convert"

_DTYPES = {AUTO: None} | {name: name for name in DTYPES}

_NAMES = ("kind", "component", "checkpoint", "format", "filename", "layout", "for", "scale", "dtype", "keep", "names", "loras")


@answers
async def list_all(request: web.Request) -> dict:
    """Every job since ComfyUI started, the oldest first."""
    from ..bridge.jobs import JOBS

    return {"jobs": JOBS.all()}


@answers
async def ask(request: web.Request) -> dict:
    """One job."""
    from ..bridge.jobs import JOBS

    return _known(JOBS.get(request.match_info["id"]))


@answers
async def start(request: web.Request) -> dict:
    """Queue a conversion, once everything that its headers and the disk can show speaks for it. Body: _NAMES; those from layout on may be absent.

    keep: a list of patterns; loras: a list of {"name", "strength"}.
    """
    from ..bridge.converting import Conversion, convert, prepare
    from ..bridge.jobs import JOBS

    _check_one_user()
    body = await body_of(request)
    check_names(body, _NAMES)
    kind = one_of(body, "kind", (CONVERT,))
    asked = Conversion(
        component=one_of(body, "component", COMPONENTS),
        checkpoint=text(body, "checkpoint"),
        format=one_of(body, "format", FORMATS),
        filename=text(body, "filename"),
        layout=one_of(body, "layout", LAYOUTS, SINGLE),
        reader=one_of(body, "for", READERS, LIGHTX2V),
        scaling=one_of(body, "scale", (ABSMAX, MSE), ABSMAX),
        dtype=_DTYPES[one_of(body, "dtype", _DTYPES, AUTO)],
        keep=texts(body, "keep"),
        names=one_of(body, "names", RENAMES, ORIGINAL),
        loras=_loras(body),
    )
    prepared = await asyncio.to_thread(prepare, asked)
    return JOBS.add(kind, asked.checkpoint, prepared.target, prepared.plan.nbytes, lambda progress: convert(prepared, progress))


@answers
async def cancel(request: web.Request) -> dict:
    """Stop a job; the answer is its state at once, and its end is told over the websocket. Body: {}."""
    from ..bridge.jobs import JOBS

    _check_one_user()
    check_names(await body_of(request), ())
    return _known(JOBS.cancel(request.match_info["id"]))


def _loras(body: dict) -> tuple[tuple[str, float], ...]:
    """Names and strengths."""
    rows = objects(body, "loras")
    for row in rows:
        check_names(row, ("name", "strength"))
    return tuple((text(row, "name"), real(row, "strength")) for row in rows)


def _known(job: dict | None) -> dict:
    if job is None:
        raise refused(web.HTTPNotFound, "there is no such job; those of before ComfyUI's last start are forgotten")
    return job


def _check_one_user() -> None:
    """With --multi-user a job would be nobody's: every user's page would be told of it and could cancel it, and it fills the disk of all."""
    if not has_one_user():
        raise refused(web.HTTPForbidden, "with --multi-user no conversion is started from the browser. Run: lightquant convert")
