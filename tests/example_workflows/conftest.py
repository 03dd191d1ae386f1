"""A real server with small models under the names of the published files, for all tests of the workflows."""

import json
import os
import urllib.request
from pathlib import Path

import pytest
import torch
from demo_base import arguments, make_base
from demo_server import running_server


@pytest.fixture(scope="session")
def workflow_base(tmp_path_factory) -> Path:
    """A base folder of ComfyUI's that holds everything the workflows name."""
    import workflow_models

    base = tmp_path_factory.mktemp("workflows") / "base"
    make_base(base, [])
    workflow_models.fill(base)
    return base


@pytest.fixture(scope="session")
def server(workflow_base):
    """The server in that folder."""
    started = arguments(workflow_base, {}, on_cpu=not torch.cuda.is_available())
    with running_server(Path(os.environ["COMFYUI_PATH"]), workflow_base, workflow_base.parent / "server.log", started) as running:
        yield running


@pytest.fixture(scope="session")
def info(server) -> dict:
    """What the server says of every node."""
    with urllib.request.urlopen(f"{server.address}/object_info") as answer:
        return json.load(answer)
