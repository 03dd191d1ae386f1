"""Each example workflow in ComfyUI's real page: it loads as it is, offers its models, is the graph that it says, and runs."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import comfy_page
import demo_base
import pytest
from demo_server import running_server
from workflows.catalogue import WORKFLOWS
from workflows.files import FILES
from workflows.written import API_FOLDER, PAGE_FOLDER

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = list(WORKFLOWS)
PICTURE = {"width": 1600, "height": 900}
SETTINGS = {"LiteGraph.Canvas.MinFontSizeForLOD": 0, "Comfy.Graph.CanvasMenu": False, "Comfy.Minimap.Visible": False}
"""For the pictures: text at every size, and nothing over the graph."""

MEASURED = """() => app.graph.nodes.map(node => ({
  id: node.id, type: node.type, box: Array.from(node.boundingRect), errors: node.has_errors || false,
  empty: (node.inputs || []).filter(input => input.link == null && !input.widget && input.shape !== 7).map(input => input.name)
}))"""

DRAWN = """() => [...document.querySelectorAll("[data-node-id]")].map(node => {
  const {x, y, width, height} = node.getBoundingClientRect()
  return {id: node.dataset.nodeId, box: [x, y, width, height]}
})"""

FITTED = """([width, height]) => {
  const boxes = app.graph.groups.map(group => Array.from(group.boundingRect))
  const left = Math.min(...boxes.map(box => box[0])), top = Math.min(...boxes.map(box => box[1]))
  const right = Math.max(...boxes.map(box => box[0] + box[2])), bottom = Math.max(...boxes.map(box => box[1] + box[3]))
  const scale = 0.97 * Math.min(width / (right - left), height / (bottom - top)), view = app.canvas.ds
  view.scale = scale
  view.offset[0] = width / scale / 2 - (left + right) / 2
  view.offset[1] = height / scale / 2 - (top + bottom) / 2
  app.canvas.setDirty(true, true)
}"""


SHRUNK = """() => {
  const small = {width: 64, height: 64, length: 5, steps: 2}
  for (const node of app.graph.nodes)
    for (const widget of node.widgets || [])
      if (widget.name in small) widget.value = small[widget.name]
}"""


@pytest.fixture(scope="module")
def base(chromium, tmp_path_factory) -> Path:
    """In place of the other tests' folder: one that holds everything the workflows name, under its published name."""
    import workflow_models

    folder = tmp_path_factory.mktemp("workflows") / "comfyui"
    demo_base.make_base(folder, [])
    workflow_models.fill(folder)
    comfy_page.keep_settings(folder, **SETTINGS)
    return folder


@pytest.fixture(scope="module")
def window(browser, base) -> Iterator[comfy_page.Window]:
    """In place of the other tests' page: one for all workflows, which replace each other in it, with a server of its own."""
    with running_server(comfy_page.COMFYUI, base, base / "log", demo_base.arguments(base, {}, on_cpu=True)) as server:
        opened = comfy_page.Window(browser, server.address)
        opened.open()
        yield opened
        opened.close()


@pytest.fixture
def no_models(base):
    """A newcomer's folders: no model in any."""
    files = [file for file in (base / "models").rglob("*") if file.is_file()]
    for file in files:
        file.rename(file.with_suffix(f"{file.suffix}.away"))
    yield
    for file in files:
        file.with_suffix(f"{file.suffix}.away").rename(file)


def text(name: str, folder: str = PAGE_FOLDER) -> dict:
    return json.loads((REPOSITORY / folder / f"{name}.json").read_text(encoding="utf-8"))


def as_queued(window) -> dict:
    """The prompt that the page would queue, without the titles that it adds."""
    prompt = window.page.evaluate("async () => (await app.graphToPrompt()).output")
    return {number: {"class_type": each["class_type"], "inputs": each["inputs"]} for number, each in prompt.items()}


def overlap(one: list[float], other: list[float]) -> bool:
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_as_it_is(window, name):
    window.page.set_viewport_size(PICTURE)
    if name == NAMES[0]:
        window.run("Workspace.ToggleFocusMode")
    window.load(text(name))
    window.page.evaluate(FITTED, [PICTURE["width"], PICTURE["height"]])
    window.page.wait_for_timeout(600)  # a frame or two after its files' answers
    window.picture(f"workflow-{name}")
    assert window.page.get_by_role("dialog").count() == 0
    assert window.problems(("error", "warning")) == []
    measured = window.page.evaluate(MEASURED)
    assert {each["type"] for each in measured} == {each["type"] for each in text(name)["nodes"]}
    assert [each for each in measured if each["empty"] or each["errors"]] == []
    for one, other in itertools.combinations(measured, 2):
        assert not overlap(one["box"], other["box"]), (one, other)
    assert as_queued(window) == text(name, API_FOLDER)


def test_nodes_lie_on_nothing_in_the_new_rendering_either(window):
    window.set("Comfy.VueNodes.Enabled", True)
    for name in NAMES:
        window.load(text(name))
        window.page.evaluate(FITTED, [PICTURE["width"], PICTURE["height"]])
        window.page.wait_for_selector("[data-node-id]")
        window.page.wait_for_timeout(800)
        window.picture(f"workflow-new-{name}")
        shown = window.page.evaluate(DRAWN)
        assert len(shown) == len(text(name)["nodes"])
        for one, other in itertools.combinations(shown, 2):
            assert not overlap(one["box"], other["box"]), (name, one, other)
    window.set("Comfy.VueNodes.Enabled", False)
    assert window.problems() == []


def test_the_server_runs_what_the_page_queues(window):
    """One is enough: what the page queues is what tests/example_workflows runs, for each of them."""
    window.load(text("wan2.1_i2v_clip"))
    window.page.evaluate(SHRUNK)
    run = window.queue()
    assert run["status"]["status_str"] == "success", run["status"]
    assert window.problems() == []
    window.picture("workflow-after-a-run")


def test_a_newcomer_is_offered_every_model_for_download(no_models, window):
    window.open()
    for name in NAMES:
        named = {value for each in text(name)["nodes"] for value in each["widgets_values"] if value in FILES}
        window.load(text(name))
        window.page.get_by_role("button", name="View details").click()
        panel = window.page.locator("div").filter(has_text="Missing Models")
        for model in named:  # the deepest part of the page that names them all
            panel = panel.filter(has_text=model)
        panel.last.wait_for()
        window.picture(f"missing-{name}")
        assert {model for model in FILES if model in panel.last.inner_text()} == named
        assert panel.last.locator("button", has_text=re.compile(r"^\s*Download\s*$")).count() == len(named)
    # The page asks the hub for sizes and the registry for names, neither of which a test can reach.
    assert [problem for problem in window.problems() if "https://" not in problem] == []
