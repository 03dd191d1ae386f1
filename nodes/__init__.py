"""What the graph shows: thin V3 nodes over the bridge."""

from comfy_api.latest import ComfyExtension, io

from ..routes import register
from .download import Download
from .from_config import FromConfig
from .inspect import Inspect
from .kernels import Kernels
from .loaders import LoadCLIP, LoadDiT, LoadT5
from .offload import Offload
from .pair import LoadDiTPair


class LightQuantExtension(ComfyExtension):
    """The pack, as ComfyUI sees it."""

    async def on_load(self) -> None:
        register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadDiT, LoadDiTPair, LoadT5, LoadCLIP, Inspect, Kernels, FromConfig, Download, Offload]


__all__ = ["LightQuantExtension"]
