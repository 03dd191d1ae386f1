"""Writes the example workflows, in ComfyUI's Python: `workflows_run.py <ComfyUI folder>`. make_workflows.py starts it."""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from pathlib import Path

from demo_base import arguments, make_base
from demo_server import running_server
from environment import REPOSITORY
from workflows.written import API_FOLDER, PAGE_FOLDER, api_text, page_text


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        base, log = Path(folder, "base"), Path(folder, "server.log")
        make_base(base, [])
        started = arguments(base, {}, on_cpu=True)
        with running_server(Path(sys.argv[1]), base, log, started) as server, urllib.request.urlopen(f"{server.address}/object_info") as answer:
            info = json.load(answer)
    for target, text in {PAGE_FOLDER: page_text, API_FOLDER: api_text}.items():
        for name, written in text(info).items():
            path = REPOSITORY / target / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(written, encoding="utf-8", newline="\n")
            print(path.relative_to(REPOSITORY))
    return 0


if __name__ == "__main__":
    sys.exit(main())
