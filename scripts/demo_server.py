"""A headless ComfyUI server of the demo's own: started in its own folder, its log kept, and gone when the demo is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS = 300, 10
TAIL_LINES = 25


class DemoError(Exception):
    """What went wrong, in a user's words."""


@dataclass(frozen=True)
class Server:
    """A running server. address: where it answers, without a slash at the end; log: the file that all it prints is added to."""

    address: str
    process: subprocess.Popen
    log: Path

    def log_tail(self) -> str:
        """The last lines of the log, indented, under a line that names it."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"The end of {self.log}:", *(f"  | {line}" for line in lines)])


@contextlib.contextmanager
def running_server(comfyui: Path, base: Path, log: Path, arguments: Sequence[str], port: int | None = None) -> Iterator[Server]:
    """A ComfyUI server with `base` as its base directory, which answers when the block begins and is gone when it ends.

    Raises DemoError when the port is taken or the server does not come up.
    """
    port = free_port(port)
    command = [
        sys.executable, "-u", str(comfyui / "main.py"), "--listen", HOST, "--port", str(port), "--base-directory", str(base),
        "--disable-auto-launch", "--disable-api-nodes", "--database-url", "sqlite:///:memory:", *arguments,
    ]  # fmt: skip
    # A group of its own: Ctrl-C in the terminal is the demo's to answer, and what the server starts can be ended with it.
    group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
    process = None
    try:
        with log.open("ab") as output, _interrupts_later():
            process = subprocess.Popen(command, cwd=comfyui, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **group)
        server = Server(f"http://{HOST}:{port}", process, log)
        _wait(server)
        yield server
    finally:
        if process is not None:
            _stop(process)


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Holds Ctrl-C back until the block is done: within Popen it would leave a process that nobody knows of."""
    held = []
    earlier = signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
    if held:
        raise KeyboardInterrupt


def free_port(wanted: int | None) -> int:
    """The wanted port, or any free one for None. Raises DemoError when the wanted one is taken."""
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last owner has just ended is free
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            raise DemoError(f"Port {wanted} on {HOST} can't be used ({error.strerror}). Pick another, or leave --port out.") from error
        return probe.getsockname()[1]


def _wait(server: Server) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise DemoError(f"ComfyUI ended with code {server.process.returncode} before it answered. {server.log_tail()}")
        try:
            with urllib.request.urlopen(f"{server.address}/system_stats", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise DemoError(f"ComfyUI did not answer on {server.address} within {START_SECONDS} s. {server.log_tail()}")


def _stop(process: subprocess.Popen) -> None:
    """End the server and all that it started; a second Ctrl-C must not cut this short."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        if os.name != "nt":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            process.kill()
        process.wait()
    finally:
        signal.signal(signal.SIGINT, earlier)
