"""A node's widgets, in the page's order, from what ComfyUI's server says of it (/object_info)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .graph import Link, Node

VALUES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}
SEEDS = {"seed", "noise_seed"}
"""The page gives these a widget more: what becomes of the value after a run."""

Info = Mapping[str, dict]
"""By class name, what the server says of each node."""


class Socket(NamedTuple):
    """An input that is linked. optional: the page draws it otherwise."""

    name: str
    type: str
    optional: bool


def sockets(node: Node, info: Info) -> list[Socket]:
    """The inputs of a node that take no value of their own."""
    return [Socket(name, kind, optional) for name, kind, _, optional in _inputs(node, info) if kind not in VALUES]


def values(node: Node, info: Info) -> dict[str, object]:
    """Every widget of a node with its value: the workflow's, else the node's default, else the first of its choices."""
    found = {name: _value(node, name, options) for name, kind, options, _ in _inputs(node, info) if kind in VALUES}
    unknown = set(node.inputs) - set(found) - {socket.name for socket in sockets(node, info)}
    if unknown:
        raise ValueError(f"{node.type} has no input {', '.join(sorted(unknown))}")
    return found


def widget_values(node: Node, info: Info) -> list[object]:
    """As the page keeps them: with what follows a seed, and the button below an image."""
    kept: list[object] = []
    given = values(node, info)
    for name, kind, options, _ in _inputs(node, info):
        if kind in VALUES:
            kept.append(given[name])
            if name in SEEDS:
                kept.append(node.look.after)
            if options.get("image_upload"):
                kept.append("image")
    return kept


def _inputs(node: Node, info: Info) -> Iterator[tuple[str, str, dict, bool]]:
    """Name, type, options and whether it is optional, of each input; a type that is a list of choices is COMBO."""
    if node.type not in info:
        raise ValueError(f"ComfyUI has no node {node.type}")
    inputs = info[node.type]["input"]
    for group in ("required", "optional"):
        for name, (kind, *more) in inputs.get(group, {}).items():
            options = dict(more[0]) if more else {}
            if isinstance(kind, list):
                kind, options = "COMBO", {"options": kind, **options}
            yield name, kind, options, group == "optional"


def _value(node: Node, name: str, options: Mapping[str, object]) -> object:
    if name in node.inputs:
        if isinstance(node.inputs[name], Link):
            raise ValueError(f"{node.type}.{name} is a widget; the workflows link sockets only")
        return node.inputs[name]
    if "default" in options:
        return options["default"]
    choice = options["options"][0]
    return choice["key"] if isinstance(choice, dict) else choice
