"""What the page knows of the loaders in its graph: in subgraphs too, after undo, and where the server gives no answer or gives it late."""

import comfy_page
import pytest
from page_graphs import T5, loader
from page_loader import STATUS, Loader

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: python3 scripts/test.py installs it").expect

pytestmark = pytest.mark.skipif(comfy_page.release() < (0, 30), reason="the page of ComfyUI 0.30 is what this is held to")

CHOICE = "**/lightquant/choice?*"
PARTS = ".lightquant-memory [role=img]"
CHANGED = "change => { app.canvas.emitBeforeChange(); %s; app.canvas.emitAfterChange() }"
"""What ComfyUI's page can undo."""

INTO_A_SUBGRAPH = CHANGED % "app.graph.convertToSubgraph(new Set(app.graph.nodes.filter(node => node.comfyClass === 'LightQuantLoadDiT')))"
MOVED = CHANGED % "app.graph.nodes.forEach(node => { node.pos[0] += 10 })"
REMOVED = CHANGED % "app.graph.remove(app.graph.nodes.find(node => node.comfyClass === 'LightQuantLoadDiT'))"


@pytest.fixture(scope="module")
def opened(shared_window) -> comfy_page.Window:
    shared_window.run("Workspace.ToggleSidebarTab.lightquant")
    expect(shared_window.page.locator(".lightquant-panel")).to_be_visible()
    return shared_window


@pytest.fixture
def window(opened) -> comfy_page.Window:
    """The page with the panel open, an empty graph, and no answer kept from before."""
    opened.page.unroute_all()
    opened.load({})
    opened.run("Comfy.RefreshNodeDefinitions")
    return opened


def counted(window: comfy_page.Window):
    """The pieces of the memory bar that are models of the graph."""
    return window.page.locator(PARTS).first.locator("span")


def asked(window: comfy_page.Window) -> int:
    """How often the server was asked about loaders when all are asked anew."""
    window.page.wait_for_timeout(500)
    before = len(window.requests("/lightquant/choice"))
    window.run("Comfy.RefreshNodeDefinitions")
    window.page.wait_for_timeout(1000)
    return len(window.requests("/lightquant/choice")) - before


def test_a_loader_in_a_subgraph_counts_once_whatever_was_undone(window):
    window.load({"1": loader(), "2": loader("t5", T5)})
    expect(counted(window)).to_have_count(2)
    window.page.evaluate(INTO_A_SUBGRAPH)
    assert window.page.evaluate("() => app.graph.nodes.some(node => node.isSubgraphNode())")
    expect(counted(window)).to_have_count(2)
    for _ in range(2):
        window.page.evaluate(MOVED)
        window.page.wait_for_timeout(300)
        window.run("Comfy.Undo")
        window.page.wait_for_timeout(300)
    window.load(window.saved())
    window.page.wait_for_timeout(500)
    expect(counted(window)).to_have_count(2)
    assert asked(window) == 2
    window.picture("subgraph")
    window.load({"2": loader("t5", T5)})
    expect(counted(window)).to_have_count(1)
    assert asked(window) == 1


def test_the_memory_bar_forgets_a_loader_that_is_removed(window):
    bar = window.page.locator(PARTS).first
    window.load({"1": loader(), "2": loader("t5", T5)})
    expect(counted(window)).to_have_count(2)
    window.page.evaluate(REMOVED)
    expect(counted(window)).to_have_count(1)
    window.load({})
    expect(bar).to_have_attribute("aria-label", "In this graph: 0 B of weights; " + bar.get_attribute("aria-label").split("; ")[1])


def test_a_refusal_is_told_and_the_next_change_asks_again(window):
    answers = [{"status": 500, "json": {"error": "The disk is on fire."}}, {"status": 502, "body": "<html>"}]
    given = []

    def refuse(route):
        given.append(route)
        route.fulfill(**answers[min(len(given), len(answers)) - 1])

    window.page.route(CHOICE, refuse)
    window.load({"1": loader(scheme="fp8-vllm")})
    dit = Loader(window, False)
    dit.wait_for("The disk is on fire.")
    window.page.wait_for_timeout(600)
    window.picture("refused")
    first = len(given)
    assert first <= 2  # each look at a graph that changes may ask again, but none follows from the answer
    dit.set("scheme", "fp8-torch")
    dit.wait_for("The server failed to answer (HTTP 502).")
    window.page.route(CHOICE, lambda route: route.abort())
    window.page.mouse.click(*dit.place(STATUS))
    dit.wait_for("ComfyUI's server does not answer.")
    window.page.unroute_all()
    window.page.mouse.click(*dit.place(STATUS))
    dit.wait_for("Runs here")
    assert window.page.get_by_role("dialog").count() == 0
    window.said.clear()  # the browser tells of these answers


def test_an_answer_of_before_does_not_replace_a_newer_one(window):
    """Its question is the same: what it asked of has changed, such as the language."""
    held = []

    def hold_first(route):
        if held:
            route.continue_()
        else:
            held.append(route)

    window.page.route(CHOICE, hold_first)
    window.load({"1": loader(scheme="fp8-torch")})
    dit = Loader(window, False)
    while not held:
        window.page.wait_for_timeout(50)
    window.run("Comfy.RefreshNodeDefinitions")
    dit.wait_for("fp8-torch · ")
    late = {"component": "dit", "file": "late", "problem": "an answer of before", "schemes": []}
    held[0].fulfill(json=late)
    window.page.wait_for_timeout(500)
    assert "an answer of before" not in dit.status()
    assert "fp8-torch · " in dit.status()


def test_of_two_quick_changes_of_the_language_the_last_counts(window):
    held = []
    window.page.route("**/texts/zh.json", lambda route: held.append(route))
    window.load({"1": loader(scheme="fp8-torch")})
    dit = Loader(window, False)
    dit.wait_for("Runs here")
    try:
        window.set("Comfy.Locale", "zh")
        while not held:
            window.page.wait_for_timeout(50)
        window.set("Comfy.Locale", "en")
        window.page.wait_for_timeout(300)
        held[0].continue_()
        window.page.wait_for_timeout(600)
        dit.wait_for("Runs here")
        expect(window.page.get_by_role("tab", name="Convert")).to_be_visible()
    finally:
        window.set("Comfy.Locale", "en")


def test_without_its_texts_the_page_still_has_the_panel_and_the_status(closed_window):
    closed_window.page.route("**/texts/*.json", lambda route: route.abort())
    closed_window.open()
    closed_window.load({"1": loader(scheme="fp8-torch")})
    Loader(closed_window, False).wait_for("scheme.runs")
    closed_window.run("Workspace.ToggleSidebarTab.lightquant")
    expect(closed_window.page.locator(".lightquant-panel")).to_be_visible()


def test_the_menu_of_another_node_gets_no_marks(window):
    """Quantize Model has a dropdown of the same schemes, and asks nothing."""
    window.load({"1": loader(scheme="fp8-vllm")})
    dit = Loader(window, False)
    dit.wait_for("fp8-torch")
    assert any(entry.state for entry in dit.open())
    window.page.keyboard.press("Escape")
    window.page.evaluate("() => { const node = LiteGraph.createNode('LightQuantQuantize'); node.pos = [600, 100]; app.graph.add(node) }")
    window.page.wait_for_timeout(300)
    other = Loader(window, False, "LightQuantQuantize")
    window.page.mouse.click(*other.place("scheme"))
    window.page.wait_for_selector(".litemenu-entry")
    window.page.wait_for_timeout(200)
    window.picture("dropdown_of_another_node")
    assert window.page.locator(".litemenu-entry[data-value='fp8-torch']").count() == 1
    assert window.page.locator(".litemenu-entry[data-lightquant]").count() == 0
    window.page.keyboard.press("Escape")
