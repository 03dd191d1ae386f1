"""What the pack's part of ComfyUI's page costs with 50 loaders in the graph: time a frame while panning, and requests.

python benchmarks/browser.py --comfyui PATH --out benchmarks/results/cpu_browser.json

A frame's time is the CPU time of the page's main thread: all of ComfyUI's own, and Chromium's drawing of it. Two pages of one kind differ in it by
up to 3 ms, so all is measured in one page, where the loaders take turns in four states: with the status that the extension adds, as large without
it, and as they are without the extension, twice. added_ms is what a state takes more than both of these in the same cycle: of "with" all that the
extension adds, of "as large, without" what the larger nodes take of that, and of "without, again" nothing, so that it tells how far the figures
can be trusted. The rest of the extension stays in the page in every state; own_ms has in it whatever code of the extension runs in a frame.
Headless Chromium draws without a GPU, so a frame takes longer here than on a desktop. Needs Chromium.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import arguments
import browser_frames
import host
from browser_frames import AGAIN, LARGE, STATES, TURNS, WITH, WITHOUT

LOADERS = 50
VIEWS = {"close": 1.0, "far": 0.65}
"""How large the graph is shown; further away ComfyUI leaves texts out."""
OWN_FRAMES, SETTLE_MS = 120, 3000
NEW = "Comfy.VueNodes.Enabled"
CHOICE = "/lightquant/choice"

_ARRANGE = """([scale, columns]) => {
  app.graph.nodes.forEach((node, index) => { node.pos = [(index % columns) * 340, Math.floor(index / columns) * 270] })
  app.canvas.ds.scale = scale
  app.canvas.ds.offset = [0, 60]
}"""


class Measured:
    """A page with the loaders in one of ComfyUI's renderings."""

    def __init__(self, browser, window, rendering: str):
        import page_graphs

        self.browser, self.window, self.page, self.turns = browser, window, window.page, TURNS[rendering]
        self.page.add_init_script(browser_frames.PAUSABLE)
        window.open()
        window.set(NEW, rendering == "new")
        files = (page_graphs.DIT_FP8, page_graphs.DIT_INT8)
        window.load({str(number): page_graphs.loader(checkpoint=files[number % 2]) for number in range(LOADERS)})
        self.page.wait_for_timeout(SETTLE_MS)
        self.page.bring_to_front()

    def start(self) -> None:
        """Have the states take turns from now on."""
        self.page.evaluate(self.turns.change)

    def show(self, view: str) -> None:
        self.page.evaluate(_ARRANGE, [VIEWS[view], 10])
        self._pan(STATES, 10)

    def round(self) -> list[dict[str, float]]:
        return browser_frames.cycles_of(self.browser, self.page, self.turns)

    def own_ms(self) -> float:
        devtools = self.page.context.new_cdp_session(self.page)
        return browser_frames.own_ms(devtools, lambda: self._pan([WITH], OWN_FRAMES), OWN_FRAMES)

    def _pan(self, states: Sequence[str], frames: int) -> None:
        self.page.evaluate(browser_frames.PAN, [states, frames, browser_frames.FRAME])


def measure(browser, server, rounds: int) -> tuple[list[dict], dict[str, dict]]:
    """The rows of the result, and how often the page asked the server."""
    from comfy_page import Window

    rows, requests = [], {}
    for rendering in TURNS:
        window = Window(browser, server.address)
        measured = Measured(browser, window, rendering)
        before = len(window.requests(CHOICE))
        measured.start()
        for view in VIEWS:
            measured.show(view)
            found = rows_of(f"{rendering}, {view}", [measured.round() for _ in range(rounds)])
            found[WITH]["own_ms"] = measured.own_ms()
            rows += found.values()
            print(*(host.shown(row) for row in found.values()), sep="\n", flush=True)
        requests[rendering] = {"loading": before, "panning": len(window.requests(CHOICE)) - before}
        window.set(NEW, False)
        window.close()
    return rows, requests


def rows_of(name: str, rounds: list[list[dict[str, float]]]) -> dict[str, dict]:
    """A row for each state. rounds: the cycles of each, which have the milliseconds a frame of each state.

    samples_ms: the median of each round's cycles. added_samples_ms: the same of what a state takes more than WITHOUT and AGAIN do in the mean of its
    cycle; AGAIN, than WITHOUT does.
    """
    plain = {WITH: (WITHOUT, AGAIN), LARGE: (WITHOUT, AGAIN), AGAIN: (WITHOUT,)}
    rows = {}
    for state in STATES:
        samples = [statistics.median(cycle[state] for cycle in cycles) for cycles in rounds]
        rows[state] = {"variant": f"{name}, {state}", "median_ms": statistics.median(samples), "samples_ms": samples}
    for state, others in plain.items():
        added = [statistics.median(cycle[state] - statistics.mean(cycle[other] for other in others) for cycle in cycles) for cycles in rounds]
        quartiles = statistics.quantiles(added, n=4)
        rows[state] |= {"added_ms": quartiles[1], "quartiles_ms": quartiles, "added_samples_ms": added}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", type=arguments.commit, default="")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    sys.path += [str(options.comfyui), *(str(host.REPOSITORY / folder) for folder in ("scripts", "tests"))]
    import comfy_page
    import demo_base
    import demo_files
    import demo_options
    from demo_server import running_server
    from playwright.sync_api import sync_playwright

    program = comfy_page.chromium()
    if program is None:
        raise SystemExit("There is no Chromium. Install one, or name it in CHROMIUM.")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "comfyui")
        demo_base.make_base(base, [])
        demo_files.prepare(demo_options.parse([]), base / "models")
        comfy_page.keep_settings(base)
        os.environ["XDG_CACHE_HOME"] = str(base / "cache")
        with (
            running_server(options.comfyui, base, base / "log", demo_base.arguments(base, {}, on_cpu=True)) as server,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=program, args=list(comfy_page.FLAGS))
            rows, requests = measure(browser, server, options.rounds)
            chromium = browser.version
            browser.close()
    environment = {**host.environment(options.commit), "chromium": chromium, "processors": os.cpu_count()}
    what = f"{LOADERS} loaders in ComfyUI's page, CPU time of its main thread a frame while panning; in one page, its states taking turns"
    host.write(options.out, {"what": what, "environment": environment, "requests": requests, "rows": rows})


if __name__ == "__main__":
    main()
