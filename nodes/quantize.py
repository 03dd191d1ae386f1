"""A float model of the graph in, the same model quantized out."""

from comfy_api.latest import io, ui

from ..bridge.settings import preferred_kernels
from ..bridge.status import show
from ..formats import ABSMAX, MSE
from ..schemes import SCHEMES
from . import inputs
from .fingerprint import fingerprint
from .language import in_language


class Quantize(io.ComfyNode):
    """ComfyUI's server lets anything into an input of a matched type, so the bridge looks at what came."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        template = io.MatchType.Template("model", [*inputs.ANY_MODEL])
        return io.Schema(
            node_id="LightQuantQuantize",
            display_name="Quantize Model",
            category="LightQuant/convert",
            description=(
                "Quantizes a float Wan MODEL, its CLIP or its CLIP_VISION while the graph runs, LoRAs on it included, with the same weights "
                "as a converted file has. The model that goes in stays as it is."
            ),
            search_aliases=["lightx2v", "quantized", "convert", "fp8", "int8", "int4", "wan"],
            inputs=[
                io.MatchType.Input("model", template=template, tooltip="A float MODEL, CLIP (type wan) or CLIP_VISION (ViT-H)."),
                io.Combo.Input(
                    "scheme", options=[*SCHEMES], default="fp8-torch", tooltip="The kernel that multiplies, and with it how the weights are stored."
                ),
                inputs.missing_kernel(),
                io.Combo.Input(
                    "scale",
                    options=[ABSMAX, MSE],
                    default=ABSMAX,
                    tooltip="absmax: each scale from the largest value. mse: the scale of least squared error, which takes longer.",
                ),
            ],
            outputs=[io.MatchType.Output(template=template, display_name="model")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, model: object, scheme: str, missing_kernel: str, scale: str) -> io.NodeOutput:
        from ..bridge.in_graph import quantize_model
        from ..bridge.load import summary

        quantized = quantize_model(model, scheme, scale, missing_kernel == inputs.SUBSTITUTE)
        text = show(summary(quantized.record), cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(quantized.model, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        """Changes with what stands in for a missing kernel."""
        return fingerprint(lambda: (preferred_kernels(), []))
