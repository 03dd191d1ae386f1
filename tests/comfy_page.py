"""ComfyUI's own page in headless Chromium: what the browser tests drive, and what they ask it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a test file is read where Playwright is not installed, too
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZE = {"width": 1600, "height": 1000}
COMFYUI = Path(os.environ.get("COMFYUI_PATH", ""))
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Locale": "en",
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.InstalledVersion": "1.47.0",
}
"""What a page starts with: no greeting over the graph, and nothing left to the browser's language."""


def release() -> tuple[int, ...]:
    """The release of the ComfyUI that the tests run in."""
    version = re.search(r'"([\d.]+)"', (COMFYUI / "comfyui_version.py").read_text(encoding="utf-8"))
    return tuple(map(int, version[1].split(".")))


def chromium() -> str | None:
    """The browser's program: CHROMIUM, else the first one on PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def screenshots() -> Path:
    """Where pictures of the page are kept: LIGHTQUANT_SCREENSHOTS, else a folder of the system's temporary one."""
    folder = Path(os.environ.get("LIGHTQUANT_SCREENSHOTS") or Path(tempfile.gettempdir(), "lightquant-screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep_settings(base: Path, **more: object) -> None:
    """Write what ComfyUI's settings dialog would for its one user. base: the server's base directory."""
    folder = base / "user" / "default"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comfy.settings.json").write_text(json.dumps({**SETTINGS, **more}), encoding="utf-8")


class Window:
    """A page of ComfyUI with its graph loaded.

    page: Playwright's page, for all that is not here.
    said: what the console got so far, as (type, text, address of the script or request).
    asked: the server's answers to requests of the page so far, as (method, path and query, status).
    """

    def __init__(self, browser: Browser, address: str):
        self.address = address
        self.said: list[tuple[str, str, str]] = []
        self.asked: list[tuple[str, str, int]] = []
        self._context = browser.new_context(viewport=SIZE)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda problem: self.said.append(("error", f"{problem}\n{problem.stack or ''}", "")))
        self.page.on("response", self._note)
        # Nothing of a test may depend on what is outside of this machine, or wait for it.
        self._context.route(re.compile(rf"^(?!{re.escape(address)}|data:|blob:)"), lambda route: route.abort())

    def open(self) -> None:
        """Load the page, or load it anew, and wait until its graph can be worked with."""
        self.page.goto(self.address, wait_until="domcontentloaded")
        self.page.wait_for_function("() => window.app?.extensionManager && window.graph", timeout=60_000)
        self.page.wait_for_selector("#graph-canvas", state="visible")
        self.page.wait_for_function("() => !document.querySelector('.p-progressspinner')")
        self.said = [line for line in self.said if is_ours(*line)]  # ComfyUI's page has complaints of its own while it starts

    def load(self, workflow: Mapping) -> None:
        """Open a workflow as ComfyUI saves it, or a graph in the form of ComfyUI's API."""
        if "nodes" in workflow:
            self.page.evaluate("workflow => app.loadGraphData(workflow)", workflow)
        else:
            self.page.evaluate("graph => app.loadApiJson(graph, 'test')", workflow)

    def set(self, setting: str, value: object) -> None:
        """Change a setting, as ComfyUI's dialog does."""
        self.page.evaluate("([id, value]) => app.extensionManager.setting.set(id, value)", [setting, value])

    def run(self, command: str) -> None:
        """Run a command of ComfyUI's by its id."""
        self.page.evaluate("id => app.extensionManager.command.execute(id)", command)

    def queue(self) -> dict:
        """Queue the graph as the Run button does, wait for its end and give ComfyUI's history of it."""
        before = set(self.get("/history"))
        self.run("Comfy.QueuePrompt")
        end = time.monotonic() + 120
        while not (new := [run for name, run in self.get("/history").items() if name not in before and run.get("status")]):
            assert time.monotonic() < end, f"the graph did not run to its end: {self.problems()}"
            self.page.wait_for_timeout(200)
        (run,) = new
        return run

    def get(self, path: str) -> dict:
        """The JSON that the server answers."""
        return self.page.evaluate("async path => (await fetch(path)).json()", path)

    def saved(self) -> dict:
        """The workflow as ComfyUI would save it."""
        return self.page.evaluate("() => app.rootGraph ? app.rootGraph.serialize() : app.graph.serialize()")

    def picture(self, name: str) -> Path:
        """Keep a picture of the page."""
        file = screenshots() / f"{name}.png"
        self.page.screenshot(path=file)
        return file

    def problems(self, kinds: tuple[str, ...] = ("error",)) -> list[str]:
        """What went wrong in the console since the page was open, and before that what is ours; other hosts, which a test can't reach, aside."""
        said = [line for line in self.said if line[0] in kinds and (is_ours(*line) or not self._is_outside(*line))]
        return [f"{kind}: {text} ({where})" for kind, text, where in said]

    def requests(self, path: str) -> list[str]:
        """The requests so far whose path begins so, with their queries."""
        return [asked for _, asked, _ in self.asked if asked.removeprefix("/api").startswith(path)]

    def close(self) -> None:
        self._context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        self.said.append((message.type, message.text, message.location.get("url", "")))

    def _note(self, response: Response) -> None:
        if response.url.startswith(self.address):
            self.asked.append((response.request.method, response.url.removeprefix(self.address), response.status))

    def _is_outside(self, kind: str, text: str, where: str) -> bool:
        """Whether it is about the hosts that a test keeps the page from, or a file of the user's that there needn't be."""
        return "Failed to load resource" in text or (where != "" and not where.startswith(self.address))


def is_ours(kind: str, text: str, where: str) -> bool:
    """Whether the pack is named in what the console got."""
    return "lightquant" in f"{text} {where}".lower()
