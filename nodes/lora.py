"""A LoRA on a MODEL, computed beside its quantized layers or baked into them."""

from comfy_api.latest import io, ui

from ..bridge.lora_folder import lora_names, lora_path
from ..bridge.status import show
from ..lora.modes import BESIDE, MODES
from .fingerprint import fingerprint
from .language import in_language


class LoRA(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantLoRA",
            display_name="Load LoRA (Quantized)",
            category="LightQuant/loaders",
            description=(
                "Adds a LoRA to a MODEL, computed beside its quantized layers, so that it is never rounded into 8 or 4 bits. "
                "Any number of these nodes can follow each other, and cost about as much as one."
            ),
            search_aliases=["lightx2v", "quantized", "lora", "lycoris", "loha", "lokr", "distill", "wan"],
            inputs=[
                io.Model.Input("model", tooltip="What the LoRA is added to: a MODEL of LightQuant's loaders, or any other."),
                io.Combo.Input("lora", options=lora_names(), tooltip="A file in models/loras."),
                io.Float.Input(
                    "strength", default=1.0, min=-100.0, max=100.0, step=0.01, tooltip="What its change is multiplied by. 0: nothing is added."
                ),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default=BESIDE,
                    tooltip="beside: exact, a little slower. bake: rounded into the weights, at no cost in speed; the node shows the error.",
                ),
            ],
            outputs=[io.Model.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, model, lora: str, strength: float, mode: str) -> io.NodeOutput:
        from ..lora.apply import add_lora

        applied = add_lora(model, lora_path(lora), strength, mode)
        text = show(applied.text, cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(applied.model, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, lora: str, strength: float, mode: str, **_) -> str:
        """Changes with the file too; the MODEL is none of what ComfyUI passes here."""
        return fingerprint(lambda: ((lora, strength, mode), [lora_path(lora)]))
