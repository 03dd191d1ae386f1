"""What the graph shows: thin V3 nodes over the bridge."""

from comfy_api.latest import ComfyExtension, io

from .loaders import LoadCLIP, LoadDiT, LoadT5


class LightQuantExtension(ComfyExtension):
    """The pack, as ComfyUI sees it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadDiT, LoadT5, LoadCLIP]


__all__ = ["LightQuantExtension"]
