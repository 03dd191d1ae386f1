"""A workflow in the form of ComfyUI's page: nodes in frames, with places and sizes, and the files that the page offers to download."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

from .files import FILES
from .graph import Column, Node, Note, Workflow
from .widgets import Info, sockets, values, widget_values

VERSION = 0.4
PACK, CORE = "lightquant", "comfy-core"
"""What the registry calls the pack, and the page ComfyUI's own nodes."""

TITLE, SLOT, WIDGET, FOOT = 30, 20, 24, 14
GAP, FRAME, FRAME_TITLE = 30, 20, 50
"""Pixels: parts of a node; between nodes; around the nodes of a column, and above them."""
FRAME_COLOUR, NOTE_COLOURS = "#3f789e", ("#322", "#533")


class Wire(NamedTuple):
    """A link in the page's form: its number, the node and output it leaves, the node and input it reaches, its type."""

    number: int
    source: int
    output: int
    target: int
    input: int
    type: str


def page_form(workflow: Workflow, info: Info) -> dict:
    """The workflow as the page saves it. Raises ValueError for an input that a node doesn't have."""
    wires = list(_wires(workflow, info))
    nodes, frames = [], []
    left = 0
    for number, column in enumerate(workflow.columns, 1):
        top = 0
        for name, item in column.nodes.items():
            size = [column.width, _height(item, info)]
            place = {"id": workflow.numbers()[name], "pos": [left, top], "size": size, "flags": {}, "order": len(nodes), "mode": 0}
            nodes.append(place | (_note(item) if isinstance(item, Note) else _node(item, place["id"], wires, info)))
            top += size[1] + TITLE + GAP + (0 if isinstance(item, Note) else item.look.room)
        frames.append(_frame(number, column, left, top))
        left += column.width + 2 * FRAME + GAP
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"lightquant/{workflow.name}")),
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(wires),
        "nodes": nodes,
        "links": [list(wire) for wire in wires],
        "groups": frames,
        "config": {},
        "extra": {},
        "version": VERSION,
    }


def _wires(workflow: Workflow, info: Info) -> Iterator[Wire]:
    numbers, nodes, count = workflow.numbers(), workflow.nodes(), 0
    for name, node in nodes.items():
        links = node.links()
        for index, socket in enumerate(sockets(node, info)):
            if socket.name in links:
                count += 1
                source, output = links[socket.name]
                yield Wire(count, numbers[source], output, numbers[name], index, _type(workflow, source, output, info))


def _type(workflow: Workflow, name: str, output: int, info: Info) -> str:
    """What an output gives; one that gives what the node took is followed to there."""
    node = workflow.nodes()[name]
    given = info[node.type]["output"][output]
    if given != "COMFY_MATCHTYPE_V3":
        return given
    return _type(workflow, *node.links()[sockets(node, info)[0].name], info)


def _height(item: Node | Note, info: Info) -> int:
    """Of the node below its title, without the room that is left for the page."""
    if isinstance(item, Note):
        return item.height
    return SLOT * max(len(sockets(item, info)), len(info[item.type]["output"])) + WIDGET * len(widget_values(item, info)) + item.look.text + FOOT


def _node(node: Node, number: int, wires: list[Wire], info: Info) -> dict:
    arriving = {wire.input: wire.number for wire in wires if wire.target == number}
    described = info[node.type]
    inputs = [
        {"name": socket.name, "type": socket.type, **({"shape": 7} if socket.optional else {}), "link": arriving.get(index)}
        for index, socket in enumerate(sockets(node, info))
    ]
    outputs = [
        {"name": name, "type": kind, "links": [wire.number for wire in wires if (wire.source, wire.output) == (number, index)]}
        for index, (name, kind) in enumerate(zip(described["output_name"], described["output"], strict=True))
    ]
    pack = CORE if not node.type.startswith("LightQuant") else PACK
    properties = {"Node name for S&R": node.type, "cnr_id": pack}
    models = [FILES[value]._asdict() for value in values(node, info).values() if isinstance(value, str) and value in FILES]
    if models:
        properties["models"] = models
    title = {"title": node.look.title} if node.look.title else {}
    return {"type": node.type, **title, "inputs": inputs, "outputs": outputs, "properties": properties, "widgets_values": widget_values(node, info)}


def _note(note: Note) -> dict:
    color, background = NOTE_COLOURS
    return {
        "type": "MarkdownNote", "title": "LightQuant", "inputs": [], "outputs": [], "properties": {}, "widgets_values": [note.text],
        "color": color, "bgcolor": background,
    }  # fmt: skip


def _frame(number: int, column: Column, left: int, bottom: int) -> dict:
    corner = [left - FRAME, -TITLE - FRAME_TITLE]
    size = [column.width + 2 * FRAME, bottom + FRAME_TITLE]
    return {"id": number, "title": column.title, "bounding": [*corner, *size], "color": FRAME_COLOUR, "font_size": 24, "flags": {}}
