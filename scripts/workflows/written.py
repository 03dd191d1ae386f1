"""Where the workflows lie in the repository, and the exact text of each file."""

from __future__ import annotations

import json

from .api_form import api_form
from .catalogue import WORKFLOWS
from .page_form import page_form
from .widgets import Info

PAGE_FOLDER, API_FOLDER = "example_workflows", "tests/example_workflows/api"
"""What ComfyUI's template browser shows, and the same graphs as the page would queue them."""


def page_text(info: Info) -> dict[str, str]:
    """By name, each workflow as the page reads it."""
    return {name: _text(page_form(workflow, info)) for name, workflow in WORKFLOWS.items()}


def api_text(info: Info) -> dict[str, str]:
    """By name, each workflow as the server reads it."""
    return {name: _text(api_form(workflow, info)) for name, workflow in WORKFLOWS.items()}


def _text(value: dict) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
