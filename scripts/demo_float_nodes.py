"""Two loaders for the demo's small float encoders, which ComfyUI's own loaders do not recognise.

The demo copies this file and float_models.py into the custom_nodes folder of its own server; they are no part of the pack.
"""

from pathlib import Path

import comfy.utils
import folder_paths
from comfy_api.latest import ComfyExtension, io

from .float_models import load_clip, load_t5

SPIECE = Path("google", "umt5-xxl", "spiece.model")


class FloatT5(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return _schema("LightQuantDemoFloatT5", "Small float T5", "text_encoders", io.Clip.Output())

    @classmethod
    def execute(cls, checkpoint: str) -> io.NodeOutput:
        path = Path(folder_paths.get_full_path_or_raise("text_encoders", checkpoint))
        return io.NodeOutput(load_t5(comfy.utils.load_torch_file(str(path), safe_load=True), (path.parent / SPIECE).read_bytes()))


class FloatCLIP(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return _schema("LightQuantDemoFloatCLIP", "Small float CLIP", "clip_vision", io.ClipVision.Output())

    @classmethod
    def execute(cls, checkpoint: str) -> io.NodeOutput:
        path = folder_paths.get_full_path_or_raise("clip_vision", checkpoint)
        return io.NodeOutput(load_clip(comfy.utils.load_torch_file(path, safe_load=True)))


def _schema(node_id: str, title: str, folder: str, output: io.Output) -> io.Schema:
    files = io.Combo.Input("checkpoint", options=folder_paths.get_filename_list(folder))
    return io.Schema(node_id=node_id, display_name=title, category="LightQuant/demo", inputs=[files], outputs=[output])


class DemoExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [FloatT5, FloatCLIP]


async def comfy_entrypoint() -> DemoExtension:
    return DemoExtension()
