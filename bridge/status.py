"""A text on the node itself, in the browser that queued it."""

import sys


def show(text: str, node_id: str | None) -> None:
    """Show the text under the node's widgets; where no server runs (tests, scripts) there is nobody to show it to."""
    server = sys.modules.get("server")
    prompt_server = getattr(getattr(server, "PromptServer", None), "instance", None)
    if prompt_server is not None and node_id is not None:
        prompt_server.send_progress_text(text, node_id)
