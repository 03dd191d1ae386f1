"""The inspector: what a checkpoint is, as text, JSON and a picture."""

from comfy_api.latest import io, ui

from ..bridge import checkpoints
from ..bridge.settings import preferred_kernels
from ..bridge.status import show
from .fingerprint import fingerprint
from .language import in_language


class Inspect(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantInspect",
            display_name="Inspect Checkpoint",
            category="LightQuant/reports",
            description=(
                "Says what a checkpoint is without loading it: model, size, format, the precision of each layer, bytes by kind and by block, "
                "and which schemes run it on this machine."
            ),
            search_aliases=["lightx2v", "quantized", "header", "precision", "fp8", "int8", "wan"],
            is_output_node=True,
            inputs=[
                io.Combo.Input("checkpoint", options=checkpoints.checkpoint_names(), tooltip="A file or folder in ComfyUI's model folders."),
                io.Boolean.Input(
                    "data",
                    default=False,
                    tooltip="Read the tensors too: scale ranges, NaN, empty rows and saturated rows. This takes as long as reading the file.",
                ),
            ],
            outputs=[io.String.Output("text"), io.String.Output("json"), io.Image.Output("picture")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, checkpoint: str, data: bool) -> io.NodeOutput:
        from ..bridge.inspecting import inspect_checkpoint, picture_of
        from ..reports.inspect import to_json
        from ..reports.text import to_text

        inspection = inspect_checkpoint(checkpoint, data)
        text = show(to_text(inspection), cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(text, to_json(inspection), picture_of(inspection), ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, data: bool) -> str:
        return fingerprint(lambda: ((checkpoint, data, preferred_kernels()), checkpoints.files_of(checkpoint)))
