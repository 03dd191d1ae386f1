"""Less VRAM, host memory and activation memory for a loaded model."""

from comfy_api.latest import io, ui

from ..bridge.clones import blocker, clone_of, patcher_of
from ..bridge.status import show
from ..errors import OffloadError
from ..offload.settings import BLOCK, GRANULARITIES, Settings
from .language import in_language


class Offload(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def model_input(kind: type, name: str, what: str) -> io.Input:
            return kind.Input(name, optional=True, tooltip=f"{what} to offload.")

        return io.Schema(
            node_id="LightQuantOffload",
            display_name="Offload Model",
            category="LightQuant",
            description=(
                "Runs a model with less VRAM than its weights take. Where ComfyUI's dynamic VRAM is on, it steers that; where it is off, it streams "
                "the blocks itself, the next one while this one computes. Two branches of one loader can have different settings."
            ),
            search_aliases=["lightx2v", "block swap", "low vram", "cpu offload", "disk", "pinned", "wan"],
            inputs=[
                model_input(io.Model, "model", "The MODEL"),
                model_input(io.Clip, "clip", "The CLIP"),
                model_input(io.ClipVision, "clip_vision", "The CLIP_VISION"),
                io.Combo.Input(
                    "granularity", options=list(GRANULARITIES), default=BLOCK,
                    tooltip="What is moved as one. model: all of it, for the length of a run. block. phase: self-attention, cross-attention or FFN "
                    "of a block, which needs the least VRAM.",
                ),
                io.Float.Input(
                    "vram", default=0.0, min=0.0, max=1024.0, step=0.1,
                    tooltip="GiB of weights in VRAM, the two buffers included. As many blocks stay there as fit. 0: as little as possible.",
                ),
                io.Float.Input(
                    "keep", default=0.0, min=0.0, max=1.0, step=0.05,
                    tooltip="Share of the blocks that stay in VRAM. Of vram and keep the one that keeps more holds.",
                ),
                io.Boolean.Input(
                    "pinned", default=True,
                    tooltip="Own streaming: copies of what is streamed in pinned memory, which is the fastest source.",
                ),
                io.Float.Input(
                    "pinned_limit", default=0.0, min=0.0, max=4096.0, step=0.5,
                    tooltip="GiB of pinned memory at most. 0: as much as ComfyUI allows and the machine has free.",
                ),
                io.Boolean.Input(
                    "from_disk", default=False,
                    tooltip="Own streaming: read what is streamed from the file at every step. For machines with less memory than the model takes.",
                ),
                io.Int.Input(
                    "chunk_rows", default=0, min=0, max=1 << 20, step=256,
                    tooltip="Compute the FFN so many tokens at a time, which saves activation memory. 0: all at once. "
                    "After a run the node says whether that changed a bit.",
                ),
            ],
            outputs=[io.Model.Output(), io.Clip.Output(), io.ClipVision.Output()],
            hidden=[io.Hidden.unique_id],
        )  # fmt: skip

    @classmethod
    @in_language
    def execute(
        cls, granularity: str, vram: float, keep: float, pinned: bool, pinned_limit: float, from_disk: bool, chunk_rows: int,
        model=None, clip=None, clip_vision=None,
    ) -> io.NodeOutput:  # fmt: skip
        from ..offload.apply import offload

        given = {"model": model, "clip": clip, "clip_vision": clip_vision}
        if not any(each is not None for each in given.values()):
            raise OffloadError("Nothing is connected to Offload Model. Connect a MODEL, a CLIP or a CLIP_VISION.")
        settings = Settings(vram, keep, granularity, pinned, pinned_limit, from_disk, chunk_rows)
        node_id = cls.hidden and cls.hidden.unique_id
        outputs, lines = [], []
        for name, each in given.items():
            if each is None:
                outputs.append(blocker(f"Nothing is connected to the input {name} of Offload Model."))
                continue
            outputs.append(clone_of(each))
            plan = offload(patcher_of(outputs[-1]), settings, lambda used, name=name: show(f"{name} {used}", node_id))
            lines.append(f"{name}: {plan}")
        text = show("\n".join(lines), node_id)
        return io.NodeOutput(*outputs, ui=ui.PreviewText(text))
