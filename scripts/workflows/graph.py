"""What a workflow is made of, before it has any form: nodes by name, in columns from left to right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Link(NamedTuple):
    """An output of another node: the node's name in the workflow, and which of its outputs."""

    node: str
    output: int = 0


class Look(NamedTuple):
    """How the page shows a node.

    title: in place of the node's own; after: what becomes of a seed after a run ("fixed" or "randomize"); text: height of a text in it, in pixels;
    room: what is left free below for what the page adds, such as a picture, in pixels.
    """

    title: str | None = None
    after: str = "randomize"
    text: int = 0
    room: int = 0


PLAIN = Look()


@dataclass(frozen=True)
class Node:
    """A node of ComfyUI's. inputs: values of widgets and Links; what is left out has the node's default."""

    type: str
    inputs: Mapping[str, object] = field(default_factory=dict)
    look: Look = PLAIN

    def links(self) -> dict[str, Link]:
        return {name: value for name, value in self.inputs.items() if isinstance(value, Link)}


@dataclass(frozen=True)
class Note:
    """A Markdown note, which the page shows and the server never sees."""

    text: str
    height: int


@dataclass(frozen=True)
class Column:
    """Nodes (or notes) under each other, in a frame with a title; width in pixels."""

    title: str
    nodes: Mapping[str, Node | Note]
    width: int = 360


@dataclass(frozen=True)
class Workflow:
    """name: of its files, without an ending; columns: from left to right."""

    name: str
    columns: tuple[Column, ...]

    def items(self) -> Iterator[tuple[str, Node | Note]]:
        """Every node and note with its name, in reading order, which is the order of their numbers."""
        for column in self.columns:
            yield from column.nodes.items()

    def nodes(self) -> dict[str, Node]:
        return {name: item for name, item in self.items() if isinstance(item, Node)}

    def numbers(self) -> dict[str, int]:
        """Each node's number in both forms, from 1 on."""
        return {name: number for number, (name, _) in enumerate(self.items(), 1)}


def node(type_: str, look: Look = PLAIN, **inputs: object) -> Node:
    return Node(type_, inputs, look)
