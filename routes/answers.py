"""How a handler is asked and answers: with JSON, errors too, its texts in the language that the query's `lang` names."""

import asyncio
import functools
import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from ..errors import CheckpointError, ConvertError, DiscoveryError, FitError, JobError, LoraError, ReportError, SchemeError
from ..texts import language_of, translate, translate_all

Handler = Callable[[web.Request], Awaitable[dict]]

JSON = "application/json"

ASKED_FOR = (CheckpointError, DiscoveryError, SchemeError, ConvertError, FitError, JobError, LoraError, ReportError)
"""What was asked for can't be had, and the error says what can: no failure of ours."""

log = logging.getLogger(__name__)


def answers(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """What the handler returns as JSON; what it raises as {"error": ...}. Translated in a thread, as ComfyUI stalls while its event loop is busy."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.Response:
        say = functools.partial(translate, language=language_of(request.query.get("lang", "")))
        said = functools.partial(asyncio.to_thread, translate_all, say=say)
        try:
            return web.json_response(await said(await handler(request)))
        except web.HTTPException as refusal:
            if refusal.content_type == JSON:
                refusal.text = json.dumps(await said(json.loads(refusal.text)))
            raise
        except ASKED_FOR as problem:
            raise refused(web.HTTPBadRequest, await said(str(problem))) from problem
        except Exception as problem:  # a page can't show a traceback; the log has it
            log.exception("LightQuant can't answer %s %s", request.method, request.path)
            raise refused(web.HTTPInternalServerError, await said(str(problem)) or type(problem).__name__) from problem

    return answer


def refused(kind: type[web.HTTPError], why: str) -> web.HTTPError:
    """The exception that answers {"error": why}."""
    return kind(text=json.dumps({"error": why}), content_type=JSON)


def is_gone(request: web.Request) -> bool:
    """Whether nobody waits for the answer any more."""
    return request.transport is None or request.transport.is_closing()


async def body_of(request: web.Request) -> dict:
    """The JSON object that a request brings. Raises what answers that it brings none.

    Any other type is refused: a foreign page can have a browser post a form or plain text here, but JSON only with the server's consent.
    """
    if request.content_type != JSON:
        raise refused(web.HTTPUnsupportedMediaType, f"this route takes {JSON}, not {request.content_type}")
    try:
        body = await request.json()
    except ValueError as problem:
        raise refused(web.HTTPBadRequest, f"the body is not JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise refused(web.HTTPBadRequest, "the body is not a JSON object, such as {}")
    return body
