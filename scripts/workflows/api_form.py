"""A workflow in the form of ComfyUI's API: what the page would queue."""

from __future__ import annotations

from .graph import Workflow
from .widgets import Info, values


def api_form(workflow: Workflow, info: Info) -> dict[str, dict]:
    """The prompt: by number, class and inputs of each node, defaults included. Raises ValueError for an input that a node doesn't have."""
    numbers = workflow.numbers()
    prompt = {}
    for name, node in workflow.nodes().items():
        links = {socket: [str(numbers[link.node]), link.output] for socket, link in node.links().items()}
        prompt[str(numbers[name])] = {"class_type": node.type, "inputs": values(node, info) | links}
    return prompt
