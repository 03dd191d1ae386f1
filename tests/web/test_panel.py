"""The LightQuant panel in ComfyUI's sidebar: each part does what the command line does, by keyboard too, in both languages and themes."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import comfy_page
import pytest
import small_loras
import torch
from lightquant.convert.names import RENAMES
from lightquant.formats import FORMATS
from lightquant.schemes import SCHEMES
from page_graphs import DIT_FLOAT, DIT_FP8, loader, text_to_video
from page_loader import Loader
from safetensors import safe_open

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: python3 scripts/test.py installs it").expect

pytestmark = pytest.mark.skipif(comfy_page.release() < (0, 30), reason="the page of ComfyUI 0.30 is what this is held to")

TEXTS = Path(__file__).resolve().parents[2] / "web" / "texts"
TOGGLE = "Workspace.ToggleSidebarTab.lightquant"
GRAVE = ("serious", "critical")
FFN = (512, 256)
"""The shape of the first feed-forward layer of the small DiT."""


@pytest.fixture(scope="module")
def opened(shared_window) -> comfy_page.Window:
    shared_window.load(text_to_video())
    shared_window.run(TOGGLE)
    expect(shared_window.page.locator(".lightquant-panel")).to_be_visible()
    return shared_window


@pytest.fixture
def panel(opened) -> "Page":
    """The page with the panel open, in English and in ComfyUI's dark theme."""
    return opened.page


def part(page: "Page", name: str):
    """A part of the panel, shown."""
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel", name=name)


def test_the_kernel_report(panel, opened):
    kernels = part(panel, "Kernels")
    kernels.get_by_role("button", name="Check the kernels").click()
    expect(kernels.get_by_role("status")).to_have_text("The report is up to date.", timeout=60_000)
    assert kernels.locator("summary").count() == len(SCHEMES)
    assert kernels.locator("table tr").count() == len(FORMATS)
    row = kernels.locator("details", has_text="fp8-vllm")
    row.locator("summary").press("Enter")
    expect(row).to_contain_text("it needs an NVIDIA GPU, this is the CPU")
    opened.picture("panel_kernels")


def test_the_inspector(panel, opened):
    inspect = part(panel, "Inspect")
    inspect.get_by_label("Checkpoint").select_option(DIT_FP8)
    inspect.get_by_role("button", name="Inspect").click()
    report = inspect.get_by_role("region", name="Report")
    expect(report).to_contain_text("Wan DiT", timeout=20_000)
    expect(report).to_contain_text("fp8-channel")
    drawn = "image => image.decode().then(() => image.naturalWidth)"
    assert inspect.get_by_role("img").evaluate(drawn) > 500
    opened.picture("panel_inspect")
    inspect.get_by_role("button", name="Enlarge").click()
    opened.picture("panel_inspect_large")
    panel.keyboard.press("Escape")
    assert panel.get_by_role("dialog").count() == 0


def test_a_conversion_with_its_progress_to_its_end(panel, opened):
    panel.evaluate("() => { window.told = []; app.api.addEventListener('lightquant.job', ({detail}) => told.push(detail.state)) }")
    convert = part(panel, "Convert")
    convert.get_by_label("Checkpoint").select_option(DIT_FLOAT)
    convert.get_by_label("Format", exact=True).select_option("int8-channel")
    convert.get_by_label("File name").fill("converted/from_the_page")
    convert.get_by_role("button", name="Convert", exact=True).click()
    job = convert.get_by_role("listitem").first
    expect(job).to_contain_text("converted/from_the_page.safetensors", timeout=20_000)
    expect(job).to_contain_text("Done", timeout=60_000)
    expect(convert.get_by_role("status")).to_have_text("converted/from_the_page.safetensors: Done")
    assert panel.evaluate("told")[-1] == "done"
    opened.picture("panel_convert")
    # A second one may not take its place.
    convert.get_by_role("button", name="Convert", exact=True).click()
    expect(convert.get_by_role("status")).to_contain_text("converted/from_the_page.safetensors", timeout=20_000)
    expect(convert.get_by_role("status")).to_have_class(re.compile("problem"))
    opened.said.clear()  # the browser tells of the answer 400
    opened.run("Comfy.RefreshNodeDefinitions")
    opened.load({"1": loader(checkpoint="converted/from_the_page.safetensors")})
    Loader(opened, False).wait_for("int8-torch")


def test_a_running_conversion_shows_how_far_it_is_and_can_be_cancelled(panel, opened):
    """Told by the server's event alone: a real one of a small model is over before one can look."""
    convert = part(panel, "Convert")
    job = {"id": "7", "kind": "convert", "state": "running", "done": 3 * 2**30, "total": 4 * 2**30, "source": "a", "target": "long.safetensors"}
    tell = "job => app.api.dispatchCustomEvent('lightquant.job', {started: 1, seconds: 9, error: null, result: null, ...job})"
    panel.evaluate(tell, job)
    row = convert.get_by_role("listitem").first
    assert float(row.get_by_role("progressbar", name="long.safetensors").get_attribute("value")) == 0.75
    expect(row).to_contain_text("Running · 3.0 GiB / 4.0 GiB")
    opened.picture("panel_converting")
    row.get_by_role("button", name="Cancel long.safetensors").press("Enter")
    expect(convert.get_by_role("status")).to_contain_text("no such job")  # as the server knows nothing of it
    opened.said.clear()
    panel.evaluate(tell, job | {"state": "cancelled"})
    expect(row).to_contain_text("Cancelled")
    expect(convert.get_by_role("status")).not_to_have_class(re.compile("problem"))
    assert row.get_by_role("progressbar").count() == 0


def test_after_a_lost_connection_it_asks_what_became_of_the_conversions(panel, opened):
    convert = part(panel, "Convert")
    told = "job => app.api.dispatchCustomEvent('lightquant.job', {started: 1, seconds: 9, done: 1, total: 4, error: null, kind: 'convert', ...job})"
    for name in ("kept", "lost"):
        panel.evaluate(told, {"id": name, "state": "running", "target": f"{name}.safetensors"})
    answer = {"id": "kept", "kind": "convert", "state": "failed", "done": 1, "total": 4, "error": "The disk is full.", "target": "kept.safetensors"}
    panel.route("**/lightquant/jobs?*", lambda route: route.fulfill(json={"jobs": [answer]}))
    panel.evaluate("() => app.api.dispatchCustomEvent('reconnected')")
    expect(convert.get_by_role("listitem").filter(has_text="kept.safetensors")).to_contain_text("Failed · The disk is full.")
    lost = convert.get_by_role("listitem").filter(has_text="lost.safetensors")
    expect(lost).to_contain_text("Gone: ComfyUI was started again")
    assert lost.get_by_role("button").count() == 0
    opened.picture("panel_reconnected")
    panel.unroute_all()


def test_a_conversion_with_the_commands_further_options(panel, opened, base):
    loras = base / "models" / "loras"
    loras.mkdir(exist_ok=True)
    small_loras.save(loras, "style.safetensors", small_loras.factors({"blocks.0.ffn.0": FFN, "blocks.1.ffn.0": FFN}))
    opened.run("Comfy.RefreshNodeDefinitions")
    convert = part(panel, "Convert")
    convert.get_by_label("Checkpoint").select_option(DIT_FLOAT)
    convert.get_by_label("Format", exact=True).select_option("fp8-channel")
    convert.get_by_label("File name").fill("converted/with_a_lora")
    convert.locator("summary").click()
    for _ in range(2):
        convert.get_by_role("button", name="Add a LoRA").click()
    convert.get_by_role("button", name="Remove this LoRA").last.press("Enter")
    expect(convert.get_by_role("button", name="Add a LoRA")).to_be_focused()
    convert.get_by_label("LoRA", exact=True).select_option("style.safetensors")
    convert.get_by_label("Strength").fill("0.5")
    convert.get_by_label("Keep as floats").fill("blocks.0.*, proj_out.*")
    convert.get_by_label("Type of what stays float").select_option("fp32")
    names = convert.get_by_label("Names of a DiT's tensors")
    assert names.evaluate("select => [...select.options].map(option => option.value)") == list(RENAMES)
    names.select_option("diffusers")
    opened.picture("panel_convert_more")
    convert.get_by_role("button", name="Convert", exact=True).click()
    job = convert.get_by_role("listitem").filter(has_text="converted/with_a_lora.safetensors")
    expect(job).to_contain_text("Done", timeout=60_000)
    with safe_open(base / "models" / "diffusion_models" / "converted" / "with_a_lora.safetensors", "pt") as file:
        kept, quantized = (file.get_tensor(f"blocks.{block}.ffn.net.0.proj.weight") for block in (0, 1))
        assert json.loads(file.metadata()["lightquant"])["loras"] == ["style.safetensors:0.5"]
    assert (kept.dtype, quantized.dtype) == (torch.float32, torch.float8_e4m3fn)
    convert.get_by_label("Strength").fill("")
    convert.get_by_role("button", name="Convert", exact=True).click()
    expect(convert.get_by_role("status")).to_contain_text("strength is absent, where a number is needed", timeout=20_000)
    convert.get_by_role("button", name="Remove this LoRA").click()
    convert.locator("summary").click()
    opened.said.clear()  # the browser tells of the answer 400


def test_the_fit_calculator(panel, opened):
    fit = part(panel, "Fit")
    expect(fit.get_by_label("Model").locator("option").nth(3)).to_be_attached()
    fit.get_by_label("VRAM").fill("24")
    fit.get_by_role("button", name="Calculate").click()
    answer = fit.get_by_role("region", name="What fits")
    expect(answer).to_contain_text("on a card as fast as the H200", timeout=20_000)
    fit.get_by_label("Card").select_option("RTX 4070")
    assert fit.get_by_label("VRAM").input_value() == "12"
    fit.get_by_label("Scheme").select_option("int8-torch")
    fit.get_by_label("Width").press("ArrowUp")
    fit.get_by_label("Height").press("ArrowDown")
    fit.get_by_label("Frames").press("ArrowUp")
    fit.get_by_role("button", name="Calculate").click()
    expect(answer).to_contain_text("848x464, 85 frames", timeout=20_000)
    expect(answer).to_contain_text("on RTX 4070\n12 GiB of VRAM")
    assert "fp8-triton" not in answer.inner_text()
    opened.picture("panel_fit")
    fit.get_by_label("Model").select_option("wan2.2-ti2v-5b")
    fit.get_by_label("Width").fill("832")
    fit.get_by_label("Width").press("ArrowUp")
    assert fit.get_by_label("Width").input_value() == "864"
    fit.get_by_label("Frames").fill("80")
    fit.get_by_role("button", name="Calculate").click()
    expect(fit.get_by_role("status")).to_contain_text("81")
    opened.said.clear()


def test_the_memory_bar_asks_after_a_run_and_not_while_the_panel_is_closed(panel, opened):
    bars = panel.locator(".lightquant-memory [role=img]")
    expect(bars).to_have_count(2)
    assert bars.first.get_attribute("aria-label").startswith("In this graph: ")
    opened.run(TOGGLE)
    panel.wait_for_timeout(800)
    before = len(opened.requests("/lightquant/memory"))
    opened.load(text_to_video("fp8-torch"))
    assert opened.queue()["status"]["status_str"] == "success"
    panel.wait_for_timeout(1000)
    assert len(opened.requests("/lightquant/memory")) == before
    opened.run(TOGGLE)
    expect(panel.locator(".lightquant-panel")).to_be_visible()
    panel.wait_for_timeout(1000)
    assert len(opened.requests("/lightquant/memory")) == before + 1
    assert "MiB of weights" in bars.first.get_attribute("aria-label")


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_accessibility(panel, opened, palette):
    """axe finds nothing serious in any part, nor in the dialog of schemes."""
    from axe_playwright_python.sync_playwright import Axe

    def problems(where: str) -> list[str]:
        found = Axe().run(panel, context=where).response["violations"]
        return [f"{each['id']}: {node['html']}" for each in found if each["impact"] in GRAVE for node in each["nodes"]]

    opened.set("Comfy.ColorPalette", palette)
    panel.wait_for_timeout(500)
    try:
        for name in ("Kernels", "Inspect", "Convert", "Fit"):
            part(panel, name)
            assert problems(".lightquant-panel") == [], name
            opened.picture(f"panel_{name.lower()}_{palette}")
        opened.load({"1": loader(scheme="fp8-vllm")})
        dit = Loader(opened, False)
        dit.wait_for("fp8-torch")
        opened.picture(f"loader_{palette}")
        dit.open_schemes()
        assert problems(".lightquant-dialog") == []
        panel.keyboard.press("Escape")
        opened.set("Comfy.VueNodes.Enabled", True)
        expect(panel.locator(".lightquant-status")).to_be_visible()
        assert problems(".lightquant-status") == []
    finally:
        opened.set("Comfy.VueNodes.Enabled", False)
        opened.set("Comfy.ColorPalette", "dark")


def test_everything_in_the_panel_is_reached_by_keyboard(panel):
    panel.get_by_role("tab", name="Kernels").click()
    for name in ("Inspect", "Convert", "Fit", "Kernels"):
        panel.keyboard.press("ArrowRight")
        assert panel.evaluate("() => document.activeElement.textContent") == name
    panel.keyboard.press("ArrowRight")
    controls = panel.locator(".lightquant-panel section:not([hidden])").locator("button, select, input, pre").count()
    reached = set()
    for _ in range(controls):
        panel.keyboard.press("Tab")
        reached.add(panel.evaluate("() => { const e = document.activeElement; return e.closest('.lightquant-panel section') ? e.outerHTML : '' }"))
        assert panel.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert "" not in reached
    assert len(reached) == controls


def test_no_key_in_the_panel_is_a_shortcut_of_comfyuis(panel, opened):
    """It keeps letters typed into a field to itself, but Control and Enter queue the graph from anywhere."""
    queued = []

    def refuse(route):
        queued.append(route.request.method)
        route.fulfill(status=400, json={"error": {"type": "test", "message": "Not in this test.", "details": ""}, "node_errors": {}})

    panel.route("**/api/prompt", refuse)
    opened.load(text_to_video("fp8-torch"))
    for control in (part(panel, "Convert").get_by_label("File name"), panel.get_by_role("tab", name="Convert")):
        control.focus()
        panel.keyboard.press("Control+Enter")
        panel.wait_for_timeout(300)
        assert "POST" not in queued
    panel.evaluate("() => document.activeElement.blur()")
    panel.keyboard.press("Control+Enter")  # so it is one
    panel.wait_for_timeout(300)
    assert "POST" in queued
    panel.unroute_all()
    panel.keyboard.press("Escape")
    opened.said.clear()


def test_what_is_filled_in_outlives_a_change_of_the_language(panel, opened):
    """And the panel listens once, however often it is built."""
    count = """() => {
      window.added = []
      const add = app.api.addEventListener
      app.api.addEventListener = function (...values) {
        added.push(values[0])
        return add.apply(this, values)
      }
    }"""
    words = {"zh": ("转换", "文件名", "适配", "显卡"), "en": ("Convert", "File name", "Fit", "Card")}
    convert = part(panel, "Convert")
    convert.get_by_label("File name").fill("mine")
    convert.get_by_label("Format", exact=True).select_option("fp8-b128")
    fit = part(panel, "Fit")
    fit.get_by_label("Frames").fill("49")
    fit.get_by_label("Card").select_option("RTX 3060")
    panel.evaluate(count)
    for language, (converter, name, calculator, card) in words.items():
        opened.set("Comfy.Locale", language)
        expect(panel.get_by_role("tab", name=converter)).to_be_visible(timeout=20_000)
        convert = part(panel, converter)
        assert convert.get_by_label(name).input_value() == "mine"
        assert convert.locator("select").nth(2).input_value() == "fp8-b128"
        fit = part(panel, calculator)
        assert fit.get_by_label(card).input_value() == "RTX 3060"
        assert fit.locator("input").nth(2).input_value() == "49"
    assert "lightquant.job" not in panel.evaluate("added")


def test_the_panel_is_chinese_in_a_chinese_page_and_after_it_is_opened_again(panel, opened, base):
    words = json.loads((TEXTS / "zh.json").read_text(encoding="utf-8"))
    opened.set("Comfy.Locale", "zh")
    try:
        expect(panel.get_by_role("tab", name=words["panel"]["convert"])).to_be_visible(timeout=20_000)
        for name in ("kernels", "inspect", "convert", "fit"):
            part(panel, words["panel"][name])
            expect(panel.get_by_role("tabpanel", name=words["panel"][name])).to_contain_text(words[name]["about"])
            opened.picture(f"panel_{name}_zh")
        assert panel.locator(".lightquant-panel [role=img]").first.get_attribute("aria-label").startswith("此图中")
        opened.open()
        opened.run(TOGGLE)
        expect(panel.get_by_role("tab", name=words["panel"]["convert"])).to_be_visible()
        opened.picture("panel_zh")
    finally:
        opened.set("Comfy.Locale", "en")
    assert opened.problems() == []
