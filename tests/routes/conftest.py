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


@pytest.fixture
def place(floats, tmp_path, monkeypatch):
    """ComfyUI's model folders, with float files in them and nothing else."""
    import folder_paths
    import small_models

    for folder in ("diffusion_models", "text_encoders", "clip_vision"):
        (tmp_path / folder).mkdir()
        monkeypatch.setitem(folder_paths.folder_names_and_paths, folder, ([str(tmp_path / folder)], {".safetensors", ".pth"}))
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    folder_paths.filename_list_cache.clear()
    small_models.save(floats["dit"], tmp_path / "diffusion_models" / "wan.safetensors")
    small_models.save(floats["t5"], tmp_path / "text_encoders" / "t5.pth")
    small_models.save(floats["clip"], tmp_path / "clip_vision" / "clip.safetensors")
    return tmp_path


@pytest.fixture
def queue(monkeypatch):
    """A queue of this test's own; it ends with the test."""
    from lightquant.bridge import jobs

    queue = jobs.Jobs(jobs._tell)
    monkeypatch.setattr(jobs, "JOBS", queue)
    yield queue
    queue.close()
