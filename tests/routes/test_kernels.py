"""/lightquant/kernels, in a real ComfyUI server; what its timing can't show for certain, on the same routes in this process."""

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pack
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from demo_server import running_server
from lightquant import routes
from lightquant.bridge import kernels_here
from lightquant.errors import KernelError
from lightquant.kernels.checks import in_child, numeric
from lightquant.schemes import SCHEMES

REPOSITORY = Path(__file__).resolve().parents[2]
PATH = "/lightquant/kernels"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A ComfyUI server on the CPU with this pack, whose checks are kept in a folder of their own."""
    base = tmp_path_factory.mktemp("comfyui")
    pack.link(REPOSITORY, base)
    arguments = ["--disable-all-custom-nodes", "--whitelist-custom-nodes", pack.LINK_NAME, "--cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))
        patch.setenv("LOCALAPPDATA", str(base / "cache"))
        with running_server(Path(os.environ["COMFYUI_PATH"]), base, base / "log", arguments) as running:
            yield running


@pytest.fixture
def ask(server) -> Callable[..., tuple[int, str, bytes]]:
    """Status, content type and body of an answer of the server."""

    def asked(path: str = PATH, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
        request = urllib.request.Request(server.address + path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers.get_content_type(), answer.read()

    return asked


def test_a_report_is_made_on_a_post_and_given_again_on_a_get(ask, server):
    status, kind, body = ask()
    known = json.loads(body)
    assert (status, kind, known["checked"]) == (200, "application/json", False)
    assert [row["scheme"] for row in known["kernels"]] == list(SCHEMES)
    assert {row["available"] for row in known["kernels"] if row["package"] == "torch"} == {None}
    status, kind, body = ask(body=b"{}", Content_Type="application/json")
    made = json.loads(body)
    assert (status, kind, made["checked"]) == (200, "application/json", True)
    assert {row["available"] for row in made["kernels"] if row["package"] == "torch"} == {True}
    assert made["remembered"].startswith(str(server.log.parent / "cache"))
    assert json.loads(ask()[2]) == made
    assert json.loads(ask("/api" + PATH)[2]) == made
    assert ask(body=b'{"recheck": true}', Content_Type="application/json; charset=utf-8")[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream"])
def test_what_a_foreign_page_can_post_without_asking_is_refused(ask, kind):
    status, answer, body = ask(body=b"{}", Content_Type=kind)
    assert (status, answer) == (415, "application/json")
    assert "takes application/json" in json.loads(body)["error"]


def test_comfyuis_own_check_of_the_origin_holds(ask):
    assert ask(body=b"{}", Content_Type="application/json", Origin="http://elsewhere.example")[0] == 403


@pytest.mark.parametrize(
    ("body", "said"), [(b"", "not JSON"), (b"{", "not JSON"), (b"\xff", "not JSON"), (b"[]", "not a JSON object"), (b'{"recheck": 1}', "expected"),
                       (b'{"device": "cuda"}', "not device")]
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_named(ask, body, said):
    status, kind, answer = ask(body=body, Content_Type="application/json")
    assert (status, kind) == (400, "application/json")
    assert said in json.loads(answer)["error"]


class Host:
    """As much of ComfyUI's server as registering needs."""

    def __init__(self) -> None:
        self.routes = web.RouteTableDef()


@pytest.fixture
def here(monkeypatch) -> Callable[..., tuple[int, dict]]:
    """Status and body of an answer of the routes in this process, in which no report has been made."""
    host = Host()
    monkeypatch.setattr(routes, "prompt_server", lambda: host)
    monkeypatch.setattr(kernels_here, "_last", None)
    routes.register()

    def asked(method: str, **request) -> tuple[int, dict]:
        async def answer() -> tuple[int, dict]:
            app = web.Application()
            app.add_routes(host.routes)
            async with TestClient(TestServer(app)) as client, client.request(method, PATH, **request) as response:
                return response.status, await response.json()

        return asyncio.run(answer())

    return asked


def test_without_a_server_there_is_nothing_to_register(monkeypatch):
    monkeypatch.setattr(routes, "prompt_server", lambda: None)
    routes.register()


def test_one_report_at_a_time(here):
    with kernels_here._making:
        status, body = here("POST", json={})
        assert (status, list(body)) == (409, ["error"])
        assert "being made" in body["error"]
        assert here("GET")[0] == 200
    assert here("POST", json={})[0] == 200


def test_the_texts_come_in_the_language_that_is_asked_for(here):
    english, chinese = (here("GET", params={"lang": language})[1]["kernels"] for language in ("fr", "zh-CN"))
    assert [row["scheme"] for row in english] == [row["scheme"] for row in chinese]
    assert {row["hardware"] for row in english} == {scheme.runs_on for scheme in SCHEMES.values()}
    assert "所有设备，从 sm_75 及更旧直到 CPU；权重被展开" in {row["hardware"] for row in chinese}
    assert here("POST", params={"lang": "zh"}, json={"device": 1})[1] == {"error": '应为 {"recheck": true 或 false}，而不是 device'}
    assert here("POST", params={"lang": "zh"}, data="{}")[1] == {"error": "这个路由只接受 application/json，不接受 text/plain"}


def test_nothing_runs_on_a_get(here, monkeypatch):
    def never(*_, **__):
        raise AssertionError("something was run")

    monkeypatch.setattr(numeric, "error_of", never)
    monkeypatch.setattr(in_child, "findings", never)
    status, body = here("GET")
    assert (status, body["checked"]) == (200, False)


def test_what_goes_wrong_is_json_and_the_next_one_works(here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(kernels_here, "kernel_report", lambda *_: (_ for _ in ()).throw(KernelError("it can't be done, do this")))
        assert here("POST", json={}) == (500, {"error": "it can't be done, do this"})
    assert here("POST", json={})[0] == 200
