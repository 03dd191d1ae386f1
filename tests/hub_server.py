"""A server on this machine that speaks as much of the Hugging Face hub's protocol as its client uses to fetch a file."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"

SMALL = 64
"""Bytes up to which the hub keeps a file in git itself, here: without a sha256."""


class Hub:
    """What the server holds and how it misbehaves; `asked` is what it was asked for, as (method, path, range).

    files: (repository, path) -> content; status: path -> what GET and HEAD of it are answered with; lies: path -> the sha256 that is claimed;
    cut_at: how many bytes of the next answer are sent before the connection ends; gone_after_cut: nothing is served from then on;
    on_cdn: files are kept elsewhere, and by Xet, as the hub has them; tokens: where a token was sent to.
    """

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.status: dict[str, int] = {}
        self.lies: dict[str, str] = {}
        self.listed_as: dict[str, str] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.cut_at: int | None = None
        self.gone_after_cut = self.gone = self.ignores_ranges = self.on_cdn = False
        self.tokens: list[str] = []
        self.is_a_hub = True
        self.endpoint = ""

    def fetched(self) -> list[tuple[str, str | None]]:
        """The files that were sent, or part of them: name, range."""
        return [(path.rsplit("/", 1)[1], asked) for method, path, asked in self.asked if method == "GET" and "/resolve/" in path]

    def checksum(self, path: str, content: bytes) -> str:
        if len(content) <= SMALL:
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return self.lies.get(path) or hashlib.sha256(content).hexdigest()


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub with an address of its own for as long as the block lasts."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    with _Server(("127.0.0.1", 0), Handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if self.headers.get("Authorization"):
            self.hub.tokens.append(path)
        if self.hub.gone:
            return self._send(503, {}, b"", body)
        if tree := re.fullmatch(r"/api/models/(\w[\w-]*/[\w.-]+)/tree/main/(.+)", path):
            return self._tree(*tree.groups())
        if path.startswith("/cdn/"):
            owner, name, path = path.removeprefix("/cdn/").split("/", 2)
            return self._content(self.hub.files[f"{owner}/{name}", path], {}, body)
        found = re.fullmatch(r"/(\w[\w-]*/[\w.-]+)/resolve/(\w+)/(.+)", path)
        if not found or found[2] not in ("main", COMMIT):
            return self._send(404, {"X-Error-Code": "RepoNotFound"}, b"", body)
        self._file(found[1], found[3], body)

    def _tree(self, repository: str, folder: str) -> None:
        entries = []
        for (owner, path), content in self.hub.files.items():
            if owner != repository or not path.startswith(folder + "/"):
                continue
            entry = {"type": "file", "oid": "0" * 40, "size": len(content), "path": self.hub.listed_as.get(path, path)}
            if len(content) > SMALL:
                entry["lfs"] = {"oid": self.hub.checksum(path, content), "size": len(content), "pointerSize": 134}
            else:
                entry["oid"] = self.hub.checksum(path, content)
            entries.append(entry)
        if not entries:
            return self._send(404, {"X-Error-Code": "EntryNotFound"}, b"", True)
        self._send(200, {"Content-Type": "application/json"}, json.dumps(entries).encode(), True)

    def _file(self, repository: str, path: str, body: bool) -> None:
        status = self.hub.status.get(path, 200)
        content = self.hub.files.get((repository, path))
        if content is None or status == 404:
            return self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"", body)
        if status != 200:
            return self._send(status, {"X-Error-Code": "GatedRepo"} if status in (401, 403) else {}, b"", body)
        checksum = self.hub.checksum(path, content)
        headers = {"ETag": f'"{checksum}"', "Accept-Ranges": "bytes", "X-Linked-Etag": f'"{checksum}"', "X-Linked-Size": str(len(content))}
        if self.hub.is_a_hub:
            headers["X-Repo-Commit"] = COMMIT
        if self.hub.on_cdn:
            # By its other name this server is another host.
            elsewhere = self.hub.endpoint.replace("127.0.0.1", "localhost")
            headers |= {"Location": f"{elsewhere}/cdn/{repository}/{path}", "X-Xet-Hash": "f" * 64}
            headers["Link"] = f'<{self.hub.endpoint}/xet>; rel="xet-auth"'
            return self._send(302, headers, b"", body)
        self._content(content, headers, body)

    def _content(self, content: bytes, headers: dict[str, str], body: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and not self.hub.ignores_ranges:
            start = int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self._send(206, headers, content[start:], body)
        self._send(200, headers, content, body)

    def _send(self, status: int, headers: dict[str, str], content: bytes, body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        cut, is_file = self.hub.cut_at, not self.path.startswith("/api/")
        if cut is not None and is_file and cut < len(content):
            self.hub.cut_at, self.hub.gone = None, self.hub.gone_after_cut
            content, self.close_connection = content[:cut], True
        self.wfile.write(content)
