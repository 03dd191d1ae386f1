"""The kernel report: what runs here, and why the rest doesn't, as text and JSON."""

import time

from comfy_api.latest import io, ui

from ..bridge.language import in_users_language
from ..bridge.status import show_said
from .language import in_language


class Kernels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantKernels",
            display_name="Kernel Report",
            category="LightQuant/reports",
            description=(
                "Checks every kernel on this machine: its package and version, whether it runs and why, the error of its check, "
                "the command that would install it, and what auto takes for each format. For bug reports."
            ),
            search_aliases=["lightx2v", "quantized", "doctor", "backend", "vllm", "sgl", "torchao", "triton", "fp8", "int8"],
            is_output_node=True,
            inputs=[
                io.Boolean.Input(
                    "recheck",
                    default=False,
                    tooltip="Forget what earlier checks have found and check everything again. This can take some minutes.",
                ),
            ],
            outputs=[io.String.Output("text"), io.String.Output("json")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, recheck: bool) -> io.NodeOutput:
        from ..bridge.kernels_here import make_report_in_a_node
        from ..reports.kernels import to_json
        from ..reports.kernels_text import to_text

        report = make_report_in_a_node(recheck)
        text = show_said(to_text(report, in_users_language), cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(text, to_json(report), ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, recheck: bool) -> str:
        """Never the same: packages, drivers and compilers come and go without a sign, and what is remembered makes another run cheap."""
        return str(time.time_ns())
