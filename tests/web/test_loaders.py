"""The loaders in ComfyUI's page, in both of its renderings: the dropdown, the status, the dialog of schemes, and how rarely they ask the server."""

import time

import comfy_page
import pytest
from lightquant.schemes import SCHEMES
from page_graphs import DIT_FLOAT, DIT_FP8, DIT_INT8, loader, text_to_video
from page_loader import STATUS, Loader

pytestmark = pytest.mark.skipif(comfy_page.release() < (0, 30), reason="the page of ComfyUI 0.30 is what this is held to")

CHOICE = "/lightquant/choice"
VUE = "Comfy.VueNodes.Enabled"


@pytest.fixture(scope="module", params=["classic", "new"])
def rendering(request, shared_window) -> str:
    """A page in one of ComfyUI's renderings."""
    shared_window.set(VUE, request.param == "new")
    return request.param


@pytest.fixture
def dit(rendering, shared_window) -> Loader:
    """A DiT loader in a whole graph, its status there."""
    shared_window.load(text_to_video("fp8-vllm"))
    found = Loader(shared_window, rendering == "new")
    found.wait_for("fp8-torch")
    return found


def test_the_dropdown_marks_what_runs_and_says_why_and_a_pick_changes_the_status(dit):
    entries = dit.open()
    dit.window.picture(f"dropdown_{dit.rendering}")
    assert [entry.name for entry in entries[:3]] == ["auto", "fp8-torch", "fp8-vllm"]
    assert all(entry.name.startswith("fp8-") and "b128" not in entry.name for entry in entries[1:])
    states = {entry.name: entry.state for entry in entries}
    assert (states["auto"], states["fp8-torch"], states["fp8-vllm"]) == ("", "runs", "replaced")
    reason = next(entry.reason for entry in entries if entry.name == "fp8-vllm")
    assert reason.startswith("fp8-torch runs in its place: ")
    assert "NVIDIA" in reason
    assert "\nfp8-torch · 8.0 MiB VRAM for weights\nAnother kernel runs in its place: " in dit.status()
    dit.pick("fp8-torch")
    dit.wait_for("Runs here: ")
    assert dit.value("scheme") == "fp8-torch"
    saved = next(node for node in dit.window.saved()["nodes"] if node["type"] == dit.type)
    assert saved["widgets_values"] == ["fp8-torch", DIT_FP8, "auto", "substitute", "auto", "auto"]
    dit.window.picture(f"picked_{dit.rendering}")
    assert dit.window.problems(("error", "warning")) == []


def test_the_dropdown_follows_the_checkpoint_and_keeps_what_is_picked(dit):
    dit.set("checkpoint", DIT_INT8)
    dit.wait_for("int8-channel")
    assert dit.offered()[:2] == ["auto", "int8-torch"]
    assert "fp8-vllm" in dit.offered()  # it is picked; the status says what is wrong with it
    assert "fp8-sgl" not in dit.offered()
    assert "fp8-vllm" in dit.status()
    dit.window.picture(f"mismatch_{dit.rendering}")
    dit.set("checkpoint", DIT_FLOAT)
    dit.set("scheme", "int8-torch")
    dit.wait_for("quantizes it while it loads")
    assert {"fp8-torch", "int8-torch", "int4-g128-torch"} <= set(dit.offered())


def test_the_dialog_lists_every_scheme_with_its_reason_by_keyboard(dit):
    page = dit.page
    dit.open_schemes()
    dialog = page.get_by_role("dialog", name="Scheme")
    dit.window.picture(f"schemes_{dit.rendering}")
    assert dialog.get_by_role("radio").count() == 1 + len(SCHEMES)
    assert page.evaluate("() => document.activeElement.value") == "fp8-vllm"
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert dit.value("scheme") == "fp8-vllm"
    dit.open_schemes()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    dit.wait_for("Runs here: ")
    assert dit.value("scheme") == "fp8-torch"
    dit.window.run("Comfy.Undo")
    dit.wait_for("Another kernel runs in its place: ")
    assert dit.value("scheme") == "fp8-vllm"


def test_what_the_status_shows(dit):
    if dit.is_new:
        file, facts, kernel = dit.shown_status().splitlines()
        assert file == DIT_FP8
        assert facts.startswith("fp8-channel · 4.7 MiB · Wan2.1 T2V")
        assert kernel.startswith("fp8-torch · ")
        assert "VRAM" in kernel
    else:
        dit.page.mouse.move(*dit.place(STATUS))
        shown = dit.page.locator(".node-tooltip", has_text=DIT_FP8)
        shown.wait_for()
        assert "fp8-vllm can't run here" in shown.inner_text()


def test_the_status_is_that_of_the_node_that_has_the_number_now(dit):
    """ComfyUI's new rendering may go on showing the elements of the node that had it in the last workflow."""
    dit.window.load(text_to_video("fp8-torch"))
    dit.wait_for("Runs here: ")
    if dit.is_new:
        shown = dit.page.locator(".lightquant-line", has_text="fp8-torch ·")
        assert shown.get_attribute("data-lightquant") == "runs"
        assert dit.page.locator(".lightquant-status").count() == 2


def test_a_graph_runs_and_the_page_comes_back_with_its_status(dit):
    run = dit.window.queue()
    assert run["status"]["status_str"] == "success", run["status"]
    dit.window.picture(f"run_{dit.rendering}")
    dit.window.page.wait_for_timeout(1500)  # ComfyUI keeps the graph for the next visit a moment after it changed
    dit.window.open()
    dit.wait_for("fp8-torch")
    assert dit.value("scheme") == "fp8-vllm"
    assert dit.window.problems(("error", "warning")) == []


@pytest.fixture
def classic(shared_window) -> comfy_page.Window:
    """The page in the classic rendering with an empty graph, knowing nothing of what was asked before."""
    shared_window.set(VUE, False)
    shared_window.load({})
    shared_window.run("Comfy.RefreshNodeDefinitions")
    shared_window.page.wait_for_timeout(300)
    return shared_window


def test_new_loaders_begin_with_the_default_and_opened_ones_keep_theirs(classic):
    classic.set("LightQuant.MissingKernel", "stop")
    classic.load({"1": loader()})
    assert Loader(classic, False).value("missing_kernel") == "substitute"
    made = "() => { const node = LiteGraph.createNode('LightQuantLoadT5'); app.graph.add(node); return node.widgets[3].value }"
    assert classic.page.evaluate(made) == "stop"
    copied = "() => app.graph.nodes.find(node => node.type === 'LightQuantLoadDiT').clone().widgets[3].value"
    assert classic.page.evaluate(copied) == "substitute"


def test_fifty_loaders_ask_once_for_each_question_and_once_for_a_change(classic):
    before = len(classic.requests(CHOICE))

    def asked(least: int) -> int:
        """How often the server was asked, once it was that often and then for a moment not again."""
        end = time.monotonic() + 20
        while len(classic.requests(CHOICE)) - before < least and time.monotonic() < end:
            classic.page.wait_for_timeout(100)
        classic.page.wait_for_timeout(600)
        return len(classic.requests(CHOICE)) - before

    classic.load({str(number): loader(checkpoint=(DIT_FP8, DIT_INT8)[number % 2]) for number in range(50)})
    dit = Loader(classic, False)
    assert asked(2) == 2
    classic.picture("fifty_loaders")
    frames = """async () => {
      for (let frame = 0; frame < 30; frame++) {
        app.canvas.ds.offset[0] += 5
        app.canvas.setDirty(true, true)
        await new Promise(requestAnimationFrame)
      }
    }"""
    classic.page.evaluate(frames)
    assert asked(2) == 2
    dit.set("scheme", "int8-torch")
    dit.set("scheme", "fp8-torch")
    dit.wait_for("Runs here")
    assert asked(3) == 3
    classic.run("Comfy.RefreshNodeDefinitions")
    assert asked(6) == 6  # what is known is forgotten: three different questions


def test_a_server_that_can_not_answer_is_no_problem_of_the_pages(classic):
    classic.page.route("**/lightquant/choice?*", lambda route: route.fulfill(status=500, json={"error": "no"}))
    classic.load({"1": loader(scheme="fp8-vllm")})
    classic.page.wait_for_timeout(800)
    dit = Loader(classic, False)
    assert dit.offered()[:2] == ["auto", "fp8-vllm"]
    assert "fp8-torch" in dit.offered()
    assert classic.page.locator(".p-toast-message-error, .p-toast-message-warn").count() == 0
