"""What the nodes know, for the browser: routes under /lightquant, JSON in and out. Nothing runs on a GET."""

from ..bridge import unfinished
from ..bridge.status import prompt_server


def register() -> None:
    """Add the routes to ComfyUI's own server, behind its checks of a request's origin; without a server there is nothing to add them to.

    ComfyUI calls a pack's on_load before it opens the server's routes, and serves each under /api as well.
    """
    server = prompt_server()
    if server is not None:
        from .table import ROUTES  # aiohttp, which they need, is there with a server only

        for method, path, handler in ROUTES:
            server.routes.route(method, f"/lightquant/{path}")(handler)
        unfinished.clear()
