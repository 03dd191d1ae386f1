"""The pack's part of ComfyUI's page, as far as every release of ComfyUI has it."""

import json

from page_graphs import DIT_FP8, loader

ROUTES = "/lightquant"


def test_the_page_opens_and_shows_the_nodes(window):
    window.load({"1": loader(scheme="fp8-torch")})
    (node,) = window.saved()["nodes"]
    assert (node["type"], node["widgets_values"]) == ("LightQuantLoadDiT", ["fp8-torch", DIT_FP8, "auto", "substitute", "auto", "auto"])
    assert window.problems(("error", "warning")) == []


def test_beside_a_server_without_its_routes_it_asks_nothing_and_adds_nothing(closed_window):
    """As after an update of the pack, until ComfyUI is started again."""
    window = closed_window

    def forget(route):
        answer = route.fetch()
        nodes = answer.json()
        for node in nodes.values():
            node["input"].get("required", {}).get("scheme", [0, {}])[1].pop("lightquant", None)
        route.fulfill(response=answer, body=json.dumps(nodes))

    window.page.route("**/object_info", forget)
    window.open()
    window.load({"1": loader()})
    assert window.saved()["nodes"][0]["widgets_values"] == ["auto", DIT_FP8, "auto", "substitute", "auto", "auto"]
    names = window.page.evaluate("() => app.graph.nodes[0].widgets.map(widget => widget.name)")
    assert names == ["scheme", "checkpoint", "dtype", "missing_kernel", "attention", "blocks"]
    assert window.page.locator(".lightquant-tab-button").count() == 0
    window.page.wait_for_timeout(500)
    assert window.requests(ROUTES) == []
    assert window.problems(("error", "warning")) == []
