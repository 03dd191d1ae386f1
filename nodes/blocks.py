"""How the blocks of a quantized MODEL are computed."""

from comfy_api.latest import io, ui

from ..bridge.status import show
from ..fusion.modes import AUTO, MODES
from .language import in_language


class Blocks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantBlocks",
            display_name="Fuse Blocks",
            category="LightQuant",
            description=(
                "Computes the blocks of a quantized Wan model in fewer passes over memory. Blocks that another node changes are left to it."
            ),
            search_aliases=["lightx2v", "fusion", "fused", "speed", "wan"],
            inputs=[
                io.Model.Input("model", tooltip="A MODEL of LightQuant's loaders."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default=AUTO,
                    tooltip="share: each activation is quantized once; no bit changes. fuse: norms, GELU and the like in one pass with it, "
                    "which changes bits. plain: ComfyUI's own blocks. auto: fuse where it was measured to be faster, else plain.",
                ),
            ],
            outputs=[io.Model.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, model, mode: str) -> io.NodeOutput:
        from ..fusion.apply import compute_blocks

        node_id = cls.hidden and cls.hidden.unique_id
        clone = model.clone()
        text = compute_blocks(clone, mode, lambda used: show(f"{text}\n{used}", node_id))
        text = show(text, node_id)
        return io.NodeOutput(clone, ui=ui.PreviewText(text))
