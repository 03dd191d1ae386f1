"""The two experts of Wan2.2 A14B, as two MODELs for the two samplers of the usual graph."""

from comfy_api.latest import io, ui

from ..bridge import folders
from ..bridge.pair_files import requested_pair
from ..bridge.request import Request
from ..loaders.storage import paths_of
from ..schemes import AUTO
from . import inputs
from .fingerprint import fingerprint
from .language import in_language
from .running import Account, set_up


class LoadDiTPair(io.ComfyNode):
    """Finds what is not picked: beside the picked one, else among ComfyUI's folders."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = folders.checkpoint_names("dit")
        return io.Schema(
            node_id="LightQuantLoadDiTPair",
            display_name="Load Quantized DiT Pair (High/Low Noise)",
            category="LightQuant/loaders",
            description="Loads the two experts of a quantized Wan2.2 A14B as two MODELs: one for the first, noisy steps and one for the rest.",
            search_aliases=["lightx2v", "quantized", "wan2.2", "moe", "experts", "a14b"],
            inputs=[
                inputs.scheme(),
                inputs.found("high_noise", names, "The expert of the first, noisy steps. find it: the one that fits the other, or the only one."),
                inputs.found("low_noise", names, "The expert of the remaining steps. find it: the one that fits the other, or the only one."),
                inputs.dtype(),
                inputs.missing_kernel(),
                inputs.attention(),
                inputs.blocks(),
            ],
            outputs=[io.Model.Output("high_noise_model", "high noise"), io.Model.Output("low_noise_model", "low noise")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, attention: str = AUTO, blocks: str = AUTO, **values: str) -> io.NodeOutput:
        from ..bridge.load import load, summary
        from ..offload.partner import make_pair

        account = Account(cls.hidden and cls.hidden.unique_id)
        high, low = (load(request) for request in requested_pair(**values))
        make_pair(high.patcher, low.patcher, paths_of(low.record.file))
        lines = []
        for name, expert in (("high noise", high), ("low noise", low)):
            said = set_up(expert.patcher, attention, blocks, account, name)
            lines.append(f"{name}: {summary(expert.record)}\n{said}")
        text = account.say("\n\n".join(lines))
        return io.NodeOutput(high.model, low.model, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, attention: str = AUTO, blocks: str = AUTO, **values: str) -> str:
        def ask() -> tuple[list[Request], list[str]]:
            requests = requested_pair(**values)
            return requests, [part for request in requests for part in paths_of(request.path)]

        return fingerprint(ask)
