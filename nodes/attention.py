"""Which kernel computes a MODEL's attention."""

from comfy_api.latest import io, ui

from ..bridge.clones import clone_of
from ..bridge.status import show
from ..schemes import ATTENTIONS, AUTO, COMFYUI
from . import inputs
from .language import in_language


class Attention(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantAttention",
            display_name="Attention Kernel",
            category="LightQuant",
            description=(
                "Picks the kernel that computes a MODEL's attention, which is most of a video step. What a kernel can't take goes to ComfyUI's own. "
                "sage and int8-kitchen quantize and are approximate, the others are exact."
            ),
            search_aliases=["lightx2v", "flash attention", "sage attention", "sdpa", "cudnn", "fa3", "wan", "speed"],
            inputs=[
                io.Model.Input("model", tooltip="What the kernel is for: a MODEL of LightQuant's loaders, or any other."),
                io.Combo.Input(
                    "attention",
                    options=[AUTO, COMFYUI, *ATTENTIONS],
                    default=AUTO,
                    tooltip="auto: the fastest exact kernel that was measured on this kind of GPU, else ComfyUI's own. comfyui: ComfyUI's own.",
                ),
                io.Combo.Input(
                    "missing_kernel",
                    options=[inputs.SUBSTITUTE, inputs.STOP],
                    default=inputs.SUBSTITUTE,
                    tooltip="When the kernel can't run here: take what auto takes, or stop with the reason.",
                ),
            ],
            outputs=[io.Model.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, model, attention: str, missing_kernel: str) -> io.NodeOutput:
        from ..attention.apply import attend

        node_id = cls.hidden and cls.hidden.unique_id
        clone = clone_of(model)
        text = attend(clone, attention, lambda used: show(f"{text}\n{used}", node_id), missing_kernel == inputs.SUBSTITUTE)
        text = show(text, node_id)
        return io.NodeOutput(clone, ui=ui.PreviewText(text))
