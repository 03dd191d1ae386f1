"""What the graph shows: thin V3 nodes over the bridge."""

from comfy_api.latest import ComfyExtension, io

from .download import Download
from .from_config import FromConfig
from .inspect import Inspect
from .loaders import LoadCLIP, LoadDiT, LoadT5
from .pair import LoadDiTPair


class LightQuantExtension(ComfyExtension):
    """The pack, as ComfyUI sees it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadDiT, LoadDiTPair, LoadT5, LoadCLIP, Inspect, FromConfig, Download]


__all__ = ["LightQuantExtension"]
