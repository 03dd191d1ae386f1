"""What the pack's part of ComfyUI's page costs with 50 loaders in the graph: time a frame while panning, and requests.

python benchmarks/browser.py --comfyui PATH --out benchmarks/results/cpu_browser.json

Two pages of one server take turns, one with the extension and one where its script is empty. A frame's time is the CPU time of the page's main
thread, all of ComfyUI's own included; own_ms is what the extension's own code takes of it, and the difference of the pages has in it what its
texts and larger nodes cost Chromium. Headless Chromium draws without a GPU, so a frame takes longer here than on a desktop; other programs on the
machine make the difference uncertain by milliseconds, which its quartiles show. Needs Chromium.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import arguments
import host

LOADERS = 50
VIEWS = {"close": 1.0, "far": 0.65}
"""How large the graph is shown; further away ComfyUI leaves texts out."""
FRAMES, SETTLE_MS = 20, 3000
ENTRY, NEW = "**/js/lightquant.js", "Comfy.VueNodes.Enabled"
CHOICE = "/lightquant/choice"

_ARRANGE = """([scale, columns]) => {
  app.graph.nodes.forEach((node, index) => { node.pos = [(index % columns) * 340, Math.floor(index / columns) * 270] })
  app.canvas.ds.scale = scale
  app.canvas.ds.offset = [0, 60]
}"""

_PAN = """async frames => {
  for (let frame = 0; frame < frames; frame++) {
    app.canvas.ds.offset[0] += frame % 2 ? 3 : -3
    app.canvas.setDirty(true, true)
    await new Promise(requestAnimationFrame)
  }
}"""


_OWN = """async frames => {
  let spent = 0
  for (const node of app.graph.nodes) {
    const widget = node.widgets.find(widget => widget.name === "lightquant_status" && widget.draw)
    const draw = widget?.draw
    if (draw) widget.draw = function (...values) {
      const begin = performance.now()
      draw.apply(this, values)
      spent += performance.now() - begin
    }
  }
  const samples = []
  for (let frame = 0; frame < frames; frame++) {
    spent = 0
    app.canvas.ds.offset[0] += frame % 2 ? 3 : -3
    app.canvas.setDirty(true, true)
    await new Promise(requestAnimationFrame)
    await new Promise(requestAnimationFrame)
    samples.push(spent)
  }
  return samples
}"""
"""What the extension's code takes of each frame. Its functions stay wrapped, so this comes last."""


class Measured:
    """A page with the loaders; samples: by view, the milliseconds a frame of each round."""

    def __init__(self, window, is_new: bool):
        import page_graphs

        self.window = window
        window.open()
        window.set(NEW, is_new)
        files = (page_graphs.DIT_FP8, page_graphs.DIT_INT8)
        window.load({str(number): page_graphs.loader(checkpoint=files[number % 2]) for number in range(LOADERS)})
        window.page.wait_for_timeout(SETTLE_MS)
        self._devtools = window.page.context.new_cdp_session(window.page)
        self._devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.samples = {view: [] for view in VIEWS}

    def round(self, view: str) -> None:
        page = self.window.page
        page.bring_to_front()
        page.evaluate(_ARRANGE, [VIEWS[view], 10])
        page.evaluate(_PAN, 10)
        before = self._busy_s()
        page.evaluate(_PAN, FRAMES)
        self.samples[view].append(1000 * (self._busy_s() - before) / FRAMES)

    def own_ms(self, view: str) -> float:
        """The median of what the extension's own code takes of a frame. Call it once all rounds are done."""
        self.window.page.bring_to_front()
        self.window.page.evaluate(_ARRANGE, [VIEWS[view], 10])
        return statistics.median(self.window.page.evaluate(_OWN, 3 * FRAMES)[FRAMES:])

    def _busy_s(self) -> float:
        metrics = self._devtools.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def measure(browser, server, rounds: int) -> tuple[list[dict], dict[str, dict]]:
    """The rows of the result, and how often the page with the extension asked the server."""
    from comfy_page import Window

    rows, requests = [], {}
    for rendering in ("classic", "new"):
        windows = {"with": Window(browser, server.address), "without": Window(browser, server.address)}
        windows["without"].page.route(ENTRY, lambda route: route.fulfill(body="", content_type="text/javascript"))
        pages = {name: Measured(window, rendering == "new") for name, window in windows.items()}
        before = len(windows["with"].requests(CHOICE))
        for number in range(rounds):
            for view in VIEWS:
                # The one that comes first pays for the change of view, so they take turns in that, too.
                for page in list(pages.values())[:: 1 if number % 2 else -1]:
                    page.round(view)
        requests[rendering] = {"loading": before, "panning": len(windows["with"].requests(CHOICE)) - before}
        for view in VIEWS:
            rows += rows_of(f"{rendering}, {view}", pages["with"].samples[view], pages["without"].samples[view])
            rows[-1]["own_ms"] = pages["with"].own_ms(view)
            print(rows[-1]["variant"], rows[-1]["added_ms"], rows[-1]["own_ms"], flush=True)
        for window in windows.values():
            window.set(NEW, False)
            window.close()
    return rows, requests


def rows_of(name: str, ours: list[float], plain: list[float]) -> list[dict]:
    """A row without and one with the extension. added_ms: the median of the differences, round by round, and their quartiles."""
    added = [mine - theirs for mine, theirs in zip(ours, plain, strict=True)]
    quartiles = statistics.quantiles(added, n=4)
    return [
        {"variant": f"{name}, without", "median_ms": statistics.median(plain), "samples_ms": plain},
        {"variant": f"{name}, with", "median_ms": statistics.median(ours), "added_ms": quartiles[1], "quartiles_ms": quartiles, "samples_ms": ours},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--commit", type=arguments.commit, default="")
    parser.add_argument("--rounds", type=int, default=16)
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
    what = f"{LOADERS} loaders in ComfyUI's page, CPU time of its main thread a frame while panning; the pages take turns"
    host.write(options.out, {"what": what, "environment": environment, "requests": requests, "rows": rows})


if __name__ == "__main__":
    main()
