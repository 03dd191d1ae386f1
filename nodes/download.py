"""The download node: off until the user allows it in ComfyUI's settings."""

import os

from comfy_api.latest import io, ui

from ..bridge import download
from ..bridge.status import show
from ..loaders.catalogue import CATALOGUE
from .language import in_language


class Download(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantDownload",
            display_name="Download Published Model",
            category="LightQuant/loaders",
            description=(
                "Fetches one of LightX2V's published files from the Hugging Face hub into ComfyUI's folder for it and checks it. "
                "Off until LightQuant's setting for it is turned on."
            ),
            search_aliases=["lightx2v", "huggingface", "fetch", "wan"],
            is_output_node=True,
            inputs=[io.Combo.Input("name", options=[*CATALOGUE], tooltip="A file that LightX2V publishes, or a folder of one in parts.")],
            outputs=[io.String.Output("path")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, name: str) -> io.NodeOutput:
        path = download.fetch(name)
        show(path, cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(path, ui=ui.PreviewText(path))

    @classmethod
    def fingerprint_inputs(cls, name: str) -> bool:
        """Changes when the file comes or goes."""
        return os.path.exists(download.target(name))
