"""The report on what quantizing cost a checkpoint: text, JSON, a picture, and a page in ComfyUI's output folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io, ui

from ..bridge import checkpoints
from ..bridge.status import show
from . import inputs
from .fingerprint import fingerprint
from .language import in_language

if TYPE_CHECKING:
    from ..reports.error_report.report import ErrorReport

NONE = "none"


def outputs() -> list[io.Output]:
    """What every report gives."""
    return [io.String.Output("text"), io.String.Output("json"), io.Image.Output("picture"), io.String.Output("page")]


def given(report: ErrorReport, node_id: str | None) -> tuple[str, tuple]:
    """What a node with a report shows, and what it gives out, in the order of `outputs`."""
    from ..bridge.pages import as_image, save_page
    from ..reports.error_report.picture import draw
    from ..reports.error_report.report import to_json
    from ..reports.error_report.text import to_text

    page = save_page(report)
    text = show(f"{to_text(report)}\npage: {page}", node_id)
    return text, (text, to_json(report), as_image(draw(report)), page)


class Report(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        names = checkpoints.checkpoint_names()
        return io.Schema(
            node_id="LightQuantReport",
            display_name="Quantization Report",
            category="LightQuant/reports",
            description=(
                "Says what quantizing cost a checkpoint: the error of each layer's weights against the float checkpoint or another one, "
                "saturated and dead channels, the worst ten, error per byte saved. With a page of plots in the output folder."
            ),
            search_aliases=["lightx2v", "quantized", "error", "sqnr", "quality", "fp8", "int8", "int4", "wan"],
            is_output_node=True,
            inputs=[
                io.Combo.Input("checkpoint", options=names, tooltip="The quantized file or folder."),
                io.Combo.Input("against", options=names, tooltip="What it is compared with: the float checkpoint, or another quantized one."),
                io.Combo.Input("second", options=[NONE, *names], default=NONE, tooltip="A second quantized one, to be shown beside the first."),
                inputs.random(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, checkpoint: str, against: str, second: str, random: bool) -> io.NodeOutput:
        from ..bridge.reporting import report_on

        text, values = given(report_on(_checkpoints(checkpoint, second), against, random), cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(*values, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, against: str, second: str, random: bool) -> str:
        from ..bridge.reporting import files_behind

        names = [*_checkpoints(checkpoint, second), against]
        return fingerprint(lambda: ((names, random), files_behind(names)))


def _checkpoints(checkpoint: str, second: str) -> list[str]:
    return [checkpoint] if second == NONE else [checkpoint, second]
