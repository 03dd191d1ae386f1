"""The routes in this process, asked as a page does it."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer


class Host:
    """As much of ComfyUI's server as the routes need."""

    def __init__(self) -> None:
        self.routes = web.RouteTableDef()
        self.sent: list[tuple[str, dict]] = []

    def send_sync(self, event: str, data: dict) -> None:
        self.sent.append((event, data))


@pytest.fixture
def user(tmp_path, monkeypatch):
    """ComfyUI's user folder, empty."""
    import folder_paths

    folder = tmp_path / "user"
    monkeypatch.setattr(folder_paths, "user_directory", str(folder))
    return folder


@pytest.fixture
def host(user, monkeypatch) -> Host:
    """A host with the routes."""
    from lightquant import routes
    from lightquant.bridge import jobs

    host = Host()
    for module in (routes, jobs):
        monkeypatch.setattr(module, "prompt_server", lambda: host)
    routes.register()
    return host


@pytest.fixture
def ask(host) -> Callable[..., tuple[int, dict]]:
    """Status and body of an answer: ask(method, path under /lightquant/, what aiohttp's client takes)."""

    def asked(method: str, path: str, **request) -> tuple[int, dict]:
        async def answer() -> tuple[int, dict]:
            app = web.Application()
            app.add_routes(host.routes)
            async with TestClient(TestServer(app)) as client, client.request(method, f"/lightquant/{path}", **request) as response:
                assert response.content_type == "application/json", await response.text()
                return response.status, await response.json()

        return asyncio.run(answer())

    return asked
