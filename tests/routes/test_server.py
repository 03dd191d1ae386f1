"""The routes behind a real ComfyUI server: its check of a request's origin, a job over the websocket, what is left of one when the server ends."""

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pack
import pytest
import small_models
from demo_server import running_server

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT_S = 120
LONG = {"kind": "convert", "component": "dit", "checkpoint": "wan.safetensors", "format": "int4-g128", "scale": "mse", "filename": "long"}
"""Some seconds of work on one core."""


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A base directory with the pack and a float model."""
    base = tmp_path_factory.mktemp("comfyui")
    pack.link(REPOSITORY, base)
    small_models.save(small_models.dit(width=512, ffn=1024, blocks=6), base / "models" / "diffusion_models" / "wan.safetensors")
    return base


@contextmanager
def server(base: Path):
    arguments = ["--disable-all-custom-nodes", "--whitelist-custom-nodes", pack.LINK_NAME, "--cpu"]
    with running_server(Path(os.environ["COMFYUI_PATH"]), base, base / "log", arguments) as running:
        yield running


def post(server, path: str, body: dict, **headers: str) -> tuple[int, dict | None]:
    """Status and body of an answer; ComfyUI's own refusals have none."""
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        with urllib.request.urlopen(urllib.request.Request(server.address + path, json.dumps(body).encode(), headers)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        said = answer.read()
        return answer.code, json.loads(said) if said else None


def get(server, path: str) -> dict:
    with urllib.request.urlopen(server.address + path) as answer:
        return json.load(answer)


def watched(server, body: dict, until: Callable[[dict], bool]) -> list[dict]:
    """Start a job as a page does, and what the websocket tells of it until something is so."""

    @asynccontextmanager
    async def socket() -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.address}/ws?clientId=test") as opened:
            yield opened

    async def watch() -> list[dict]:
        told: list[dict] = []
        async with socket() as page:
            await page.receive(WAIT_S)  # ComfyUI's greeting: what is sent from here on arrives
            status, job = await asyncio.to_thread(post, server, "/api/lightquant/jobs", body)
            assert status == 200, job
            while not (told and until(told[-1])):
                message = await page.receive_json(timeout=WAIT_S)
                if message["type"] == "lightquant.job" and message["data"]["id"] == job["id"]:
                    told.append(message["data"])
        return told

    return asyncio.run(watch())


def at_work(job: dict) -> bool:
    assert job["state"] in ("waiting", "running"), job
    return job["state"] == "running" and job["done"] > 0


def written(base: Path) -> set[str]:
    return {path.name for path in (base / "models" / "diffusion_models").iterdir()}


def notes(base: Path) -> list[Path]:
    return [path for path in (base / "user" / "__lightquant").rglob("*") if path.is_file()]


def test_a_page_converts_and_is_told_and_a_foreign_one_is_refused(base):
    with server(base) as running:
        for path, body in (("jobs", LONG), ("jobs/x/cancel", {}), ("inspect", {"component": "dit", "checkpoint": "wan.safetensors"})):
            for prefix in ("/lightquant/", "/api/lightquant/"):
                assert post(running, prefix + path, body, Origin="http://elsewhere.example")[0] == 403
        assert get(running, "/lightquant/jobs") == {"jobs": []}
        own = {"Origin": running.address, "Content_Type": "application/json"}
        assert post(running, "/lightquant/jobs/x/cancel", {}, **own)[0] == 404

        told = watched(running, {**LONG, "format": "int8-channel", "scale": "absmax", "filename": "new/quick"}, lambda job: job["state"] == "done")
        assert [told[0]["state"], told[-1]["result"]["file"]] == ["waiting", os.path.join("new", "quick.safetensors")]
        done = [job["done"] for job in told]
        assert done == sorted(done)
        choice = get(running, f"/api/lightquant/choice?component=dit&checkpoint={os.path.join('new', 'quick.safetensors')}")
        assert (choice["problem"], choice["format"], choice["chosen"]["kernel"]) == (None, "int8-channel", "int8-torch")
        assert choice == get(running, "/lightquant/choice?component=dit&scheme=auto")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals for another process")
def test_a_killed_server_is_cleared_up_after_and_one_that_is_ended_clears_up(base):
    expected = {*written(base), "of_another.safetensors.partial"}
    (base / "models" / "diffusion_models" / "of_another.safetensors.partial").write_bytes(b"a command line's")
    with server(base) as running:
        watched(running, LONG, at_work)
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
    assert written(base) == {*expected, "long.safetensors.partial", "long.safetensors.lock"}
    assert notes(base)
    with server(base) as running:
        assert written(base) == expected
        assert not notes(base)
        assert "what it had written is removed" in running.log.read_text()
        watched(running, LONG, at_work)
        running.process.send_signal(signal.SIGINT)
        running.process.wait(WAIT_S)
    assert written(base) == expected
    assert not notes(base)
