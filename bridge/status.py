"""ComfyUI's server, and a text on the node itself in the browser that queued it."""

import sys


def prompt_server():
    """ComfyUI's PromptServer, or None where no server runs (tests, scripts)."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def show(text: str, node_id: str | None) -> None:
    """Show the text under the node's widgets; without a server there is nobody to show it to."""
    server = prompt_server()
    if server is not None and node_id is not None:
        server.send_progress_text(text, node_id)
