"""A loader of ours in ComfyUI's page, in either of its renderings: what a test does to it and reads from it."""

from __future__ import annotations

from typing import NamedTuple

from comfy_page import Window

_NODE = "app.graph.nodes.find(node => node.type === type)"

_PLACE = """([type, name]) => {
  const node = %s, widget = node.widgets.find(widget => widget.name === name)
  return app.canvasPosToClientPos([node.pos[0] + node.size[0] / 2, node.pos[1] + widget.y + 10])
}""".replace("%s", _NODE)

_STATUS = """([type, name]) => {
  const widget = %s?.widgets.find(widget => widget.name === name)
  const shown = [...(widget?.element?.querySelectorAll(".lightquant-line") ?? [])]
  return widget?.tooltip ?? shown.flatMap(line => [line.textContent, line.title]).join("\\n")
}""".replace("%s", _NODE)
"""In the classic rendering the status says on hover all that it knows; in the new one each of its lines does."""

_ENTRIES = """() => [...document.querySelectorAll('.litemenu-entry[data-value], [role="option"]')].map(entry => [
  entry.dataset.value ?? entry.textContent.trim(), entry.dataset.lightquant ?? "", entry.title
])"""

STATUS = "lightquant_status"


class Entry(NamedTuple):
    """An entry of an open dropdown. state: what it is marked as; reason: what it says on hover."""

    name: str
    state: str
    reason: str


class Loader:
    """The one node of a type in the graph. is_new: whether the page is in the new rendering."""

    def __init__(self, window: Window, is_new: bool, node_type: str = "LightQuantLoadDiT"):
        self.window, self.page, self.is_new, self.type = window, window.page, is_new, node_type

    @property
    def rendering(self) -> str:
        return "new" if self.is_new else "classic"

    def value(self, widget: str) -> str:
        return self.page.evaluate(f"([type, name]) => {_NODE}.widgets.find(widget => widget.name === name).value", [self.type, widget])

    def offered(self) -> list[str]:
        """What the scheme's dropdown holds."""
        return self.page.evaluate(f"type => [...{_NODE}.widgets.find(widget => widget.name === 'scheme').options.values]", self.type)

    def set(self, widget: str, value: str) -> None:
        """Give a widget a value as the page does when its user picks one."""
        code = f"""([type, name, value]) => {{
          const node = {_NODE}, widget = node.widgets.find(widget => widget.name === name)
          widget.value = value
          widget.callback(value, app.canvas, node)
        }}"""
        self.page.evaluate(code, [self.type, widget, value])

    def open(self, widget: str = "scheme") -> list[Entry]:
        """Open a dropdown with the mouse and read what it shows."""
        if self.is_new:
            number = self.page.evaluate(f"type => {_NODE}.id", self.type)
            self.page.locator(f'[data-node-id="{number}"]').get_by_role("combobox", name=widget).click()
            self.page.wait_for_selector('[role="option"]')
        else:
            self.page.mouse.click(*self.place(widget))
            self.page.wait_for_selector(".litemenu-entry")
        self.page.wait_for_selector("[data-lightquant]", state="attached")
        return [Entry(*entry) for entry in self.page.evaluate(_ENTRIES)]

    def pick(self, name: str) -> None:
        """Click an entry of the open dropdown."""
        if self.is_new:
            self.page.get_by_role("option", name=name, exact=True).click()
        else:
            self.page.locator(f'.litemenu-entry[data-value="{name}"]').click()

    def place(self, widget: str) -> list[float]:
        """Where on the page a widget is, in the classic rendering."""
        return self.page.evaluate(_PLACE, [self.type, widget])

    def status(self) -> str:
        """All that the status under the widgets says, reasons included; "" where there is none."""
        return self.page.evaluate(_STATUS, [self.type, STATUS])

    def shown_status(self) -> str:
        """What a user sees of it in the new rendering."""
        number = self.page.evaluate(f"type => {_NODE}.id", self.type)
        return self.page.locator(f'[data-node-id="{number}"] .lightquant-lines').inner_text()

    def wait_for(self, part: str) -> None:
        """Wait until the status says so."""
        self.page.wait_for_function(
            f"([type, name, part]) => ({_STATUS})([type, name]).includes(part)", arg=[self.type, STATUS, part], timeout=20_000
        )

    def open_schemes(self) -> None:
        """Open the dialog of schemes from the status."""
        if self.is_new:
            number = self.page.evaluate(f"type => {_NODE}.id", self.type)
            self.page.locator(f'[data-node-id="{number}"]').get_by_role("button", name="Schemes").press("Enter")
        else:
            self.page.mouse.click(*self.place(STATUS))
        self.page.get_by_role("dialog", name="Scheme").wait_for()
