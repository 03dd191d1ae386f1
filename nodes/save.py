"""A quantized model of the graph into a file."""

from comfy_api.latest import io, ui

from ..bridge.status import show
from ..convert.settings import LAYOUTS, LIGHTX2V, READERS, SINGLE
from . import inputs
from .language import in_language


class Save(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantSave",
            display_name="Save Quantized Model",
            category="LightQuant/convert",
            description=(
                "Writes a MODEL, CLIP or CLIP_VISION that LightQuant has loaded or quantized into ComfyUI's folder for it, "
                "as lightquant convert would."
            ),
            search_aliases=["lightx2v", "quantized", "export", "fp8", "int8", "int4", "wan"],
            is_output_node=True,
            inputs=[
                io.MultiType.Input("model", [*inputs.ANY_MODEL], tooltip="A quantized MODEL, CLIP or CLIP_VISION."),
                io.String.Input(
                    "filename", default="lightquant/my_model", tooltip="In ComfyUI's folder for such models; folders before it are made."
                ),
                io.Combo.Input(
                    "layout", options=[*LAYOUTS], default=SINGLE, tooltip="One file, a folder with a file a block, or with files of 100 tensors."
                ),
                io.Combo.Input("for", options=[*READERS], default=LIGHTX2V, tooltip="Whose loader it is for. LightQuant's nodes read both."),
                io.Boolean.Input(
                    "bake", default=False, tooltip="Put a LoRA that is on the model into its weights. Off: a model with a LoRA is not saved."
                ),
                io.Boolean.Input("overwrite", default=False, tooltip="Replace what has this name already, once the new file is whole."),
            ],
            outputs=[io.String.Output("path")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, model: object, filename: str, layout: str, bake: bool, overwrite: bool, **more: str) -> io.NodeOutput:
        from ..bridge.saving import Target, save

        path, text = save(model, Target(filename, layout, more["for"], bake, overwrite))
        return io.NodeOutput(path, ui=ui.PreviewText(show(text, cls.hidden and cls.hidden.unique_id)))
