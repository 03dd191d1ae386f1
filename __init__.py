"""LightQuant: quantized Wan video models for ComfyUI.

This folder is two things at once: a ComfyUI custom node, imported by its path, and the Python package `lightquant`, imported by its name.
ComfyUI is imported only inside `comfy_entrypoint`, so that the command line and the tests can use the package without it.
"""

import importlib
import os
import sys

__version__ = "0.1.0"

WEB_DIRECTORY = "./web"
"""ComfyUI serves it under the folder's name, where it looks for help pages. Named in pyproject.toml as well it would be served, and run, twice."""


def _package_name() -> str:
    """The one name under which the pack's modules live, however it was imported first.

    ComfyUI names the module after its folder. Were its submodules imported under that name and once more under `lightquant`, every layout and
    operator would be registered twice; so the first of the two to arrive becomes `lightquant` and the second finds it there.
    """
    this = sys.modules[__name__]
    known = sys.modules.setdefault("lightquant", this)
    place = getattr(known, "__file__", None)
    if known is not this and not (place and os.path.samefile(os.path.dirname(place), os.path.dirname(__file__))):
        raise ImportError(
            f"Another package named lightquant is already loaded from {place}, so the pack in {os.path.dirname(__file__)} can't start. "
            "Uninstall that package (pip uninstall lightquant) or remove the other copy of the pack, then restart ComfyUI."
        )
    return "lightquant"


async def comfy_entrypoint():
    """The extension that ComfyUI asks every V3 custom node for."""
    nodes = importlib.import_module(_package_name() + ".nodes")
    return nodes.LightQuantExtension()
