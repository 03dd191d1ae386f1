"""Two MODELs run side by side: what quantizing does to each layer's output, and to the latents."""

from comfy_api.latest import io, ui

from ..bridge.samplers import SAMPLERS, SCHEDULERS
from . import inputs
from .language import in_language
from .report import given, outputs


class Compare(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantCompare",
            display_name="Compare with Float Model",
            category="LightQuant/reports",
            description=(
                "Samples with a quantized and with a float MODEL, and says how far each quantized layer's output is from the float layer's on the "
                "same input, and how far the latents are apart. With a page of plots in the output folder."
            ),
            search_aliases=["lightx2v", "quantized", "calibration", "error", "sqnr", "quality", "wan"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The quantized MODEL."),
                io.Model.Input("reference", tooltip="The float MODEL of the same kind, with the same LoRAs."),
                io.Conditioning.Input("positive", tooltip="As for KSampler."),
                io.Conditioning.Input("negative", tooltip="As for KSampler."),
                io.Latent.Input("latent_image", tooltip="As for KSampler. A small one is enough."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, tooltip="Of the noise, the same for both."),
                io.Int.Input("steps", default=4, min=1, max=10000, tooltip="For each of the two runs."),
                io.Float.Input("cfg", default=1.0, min=0.0, max=100.0, step=0.1, tooltip="As for KSampler."),
                io.Combo.Input("sampler_name", options=SAMPLERS, default="euler", tooltip="As for KSampler."),
                io.Combo.Input("scheduler", options=SCHEDULERS, default="simple", tooltip="As for KSampler."),
                inputs.random(),
            ],
            outputs=[*outputs(), io.Latent.Output("latent"), io.Latent.Output("reference_latent")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, model, reference, latent_image: dict, random: bool, **run) -> io.NodeOutput:
        from ..bridge.comparing import Run, compare_models

        report, latent, reference_latent = compare_models(model, reference, Run(latent=latent_image, **run), random)
        text, values = given(report, cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(*values, latent, reference_latent, ui=ui.PreviewText(text))
