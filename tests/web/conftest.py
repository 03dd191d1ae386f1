"""A real ComfyUI server with small models, and its page in headless Chromium. Both live for one test file: see comfy_page.py."""

import os
from collections.abc import Iterator
from pathlib import Path

import demo_base
import demo_files
import demo_options
import pytest
from demo_server import Server, running_server

COMFYUI = Path(os.environ.get("COMFYUI_PATH", ""))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Headless Chromium. Playwright runs an event loop while it is open, in which nothing else of this process may run one."""
    comfy_page = pytest.importorskip("comfy_page", reason="playwright is not installed: python3 scripts/test.py installs it")
    program = comfy_page.chromium()
    if program is None:
        missing = "no Chromium on this machine: install one (Debian: apt-get install chromium) or name it in CHROMIUM"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(comfy_page.FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The base directory of the server: the pack, the demo's float loaders and the demo's small models, in every format that it has."""
    from comfy_page import keep_settings

    folder = tmp_path_factory.mktemp("web") / "comfyui"
    demo_base.make_base(folder, [])
    demo_files.prepare(demo_options.parse([]), folder / "models")
    keep_settings(folder)
    return folder


@pytest.fixture(scope="module")
def server(base, browser) -> Iterator[Server]:
    """A ComfyUI server on the CPU; what it finds out about kernels is kept in a folder of its own. browser: without one there is no use for it."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(variable, str(base / "cache"))
        with running_server(COMFYUI, base, base / "log", demo_base.arguments(base, {}, on_cpu=True)) as running:
            yield running


@pytest.fixture
def window(browser, server) -> Iterator:
    """The page of a fresh visitor, open; see comfy_page.Window."""
    from comfy_page import Window

    opened = Window(browser, server.address)
    opened.open()
    yield opened
    opened.close()
