"""ComfyUI's server, and a text on the node itself in the browser that queued it."""

import sys

from .language import in_users_language


def prompt_server():
    """ComfyUI's PromptServer, or None where no server runs (tests, scripts)."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def show(text: str, node_id: str | None) -> str:
    """Show the text under the node's widgets, in the user's language, in which it is returned; without a server there is nobody to show it to."""
    return show_said(in_users_language(text), node_id)


def show_said(text: str, node_id: str | None) -> str:
    """The same of a text that is in the user's language already."""
    server = prompt_server()
    if server is not None and node_id is not None:
        server.send_progress_text(text, node_id)
    return text
