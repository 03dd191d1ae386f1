"""A real ComfyUI server with small models, and its page in headless Chromium: see comfy_page.py."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import comfy_page
import demo_base
import demo_files
import demo_options
import pytest
from demo_server import Server, running_server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program. Without one the tests are skipped; where they must not be, on a build machine, they fail."""
    pytest.importorskip("playwright", reason="playwright is not installed: python3 scripts/test.py installs it")
    program = comfy_page.chromium()
    if program is None:
        missing = "no Chromium on this machine: install one (Debian: apt-get install chromium) or name it in CHROMIUM"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    return program


@pytest.fixture(scope="session")
def base(chromium, tmp_path_factory) -> Path:
    """The base directory of the server: the pack, the demo's float loaders and the demo's small models, in every format that it has."""
    folder = tmp_path_factory.mktemp("web") / "comfyui"
    demo_base.make_base(folder, [])
    demo_files.prepare(demo_options.parse([]), folder / "models")
    return folder


@pytest.fixture(scope="session")
def server(base) -> Iterator[Server]:
    """A ComfyUI server on the CPU; what it finds out about kernels is kept in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(variable, str(base / "cache"))
        with running_server(comfy_page.COMFYUI, base, base / "log", demo_base.arguments(base, {}, on_cpu=True)) as running:
            yield running


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator:
    """Headless Chromium. Playwright runs an event loop while it is open, in which nothing else of this process may run one: so for one file only."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(comfy_page.FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def closed_window(browser, server, base) -> Iterator[comfy_page.Window]:
    """The page of a fresh visitor with the settings that ComfyUI comes with, not opened yet."""
    with _window(browser, server, base) as made:
        yield made


@pytest.fixture
def window(closed_window) -> comfy_page.Window:
    """The same, open."""
    closed_window.open()
    return closed_window


@pytest.fixture(scope="module")
def shared_window(browser, server, base) -> Iterator[comfy_page.Window]:
    """One page for all tests of a file that ask for it: opening one takes seconds."""
    with _window(browser, server, base) as made:
        made.open()
        yield made


@contextlib.contextmanager
def _window(browser, server: Server, base: Path) -> Iterator[comfy_page.Window]:
    comfy_page.keep_settings(base)
    made = comfy_page.Window(browser, server.address)
    try:
        yield made
    finally:
        made.close()
