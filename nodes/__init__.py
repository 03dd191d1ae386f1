"""What the graph shows: thin V3 nodes over the bridge.

ComfyUI's start waits for every pack, so what only a run of a node needs is imported by the run.
"""

from comfy_api.latest import ComfyExtension, io

from ..routes import register
from .attention import Attention
from .blocks import Blocks
from .compare import Compare
from .download import Download
from .from_config import FromConfig
from .inspect import Inspect
from .kernels import Kernels
from .loaders import LoadCLIP, LoadDiT, LoadT5
from .lora import LoRA
from .offload import Offload
from .pair import LoadDiTPair
from .quantize import Quantize
from .report import Report
from .save import Save


class LightQuantExtension(ComfyExtension):
    """The pack, as ComfyUI sees it."""

    async def on_load(self) -> None:
        register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadDiT, LoadDiTPair, LoadT5, LoadCLIP, LoRA, Offload, Attention, Blocks,
            Quantize, Save, Inspect, Report, Compare, Kernels, FromConfig, Download,
        ]  # fmt: skip


__all__ = ["LightQuantExtension"]
