"""The two experts of Wan2.2 A14B, as two MODELs for the two samplers of the usual graph."""

from comfy_api.latest import io, ui

from ..bridge import folders
from ..bridge.request import Request
from ..bridge.status import show
from ..loaders.identity import identify_path
from ..loaders.pair import check_pair, counterpart
from ..loaders.storage import paths_of
from ..loaders.wan_folder import HIGH, LOW
from ..schemes import formats_of
from . import inputs
from .fingerprint import fingerprint
from .language import in_language


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
            ],
            outputs=[io.Model.Output("high_noise_model", "high noise"), io.Model.Output("low_noise_model", "low noise")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def _requests(cls, scheme: str, high_noise: str, low_noise: str, dtype: str, missing_kernel: str) -> list[Request]:
        high, low = _pair(inputs.chosen(high_noise), inputs.chosen(low_noise), formats_of(scheme))
        return [Request("dit", path, scheme, dtype, may_substitute=missing_kernel == inputs.SUBSTITUTE) for path in (high, low)]

    @classmethod
    @in_language
    def execute(cls, **values: str) -> io.NodeOutput:
        from ..bridge.load import load, summary
        from ..offload.partner import make_pair

        high, low = (load(request) for request in cls._requests(**values))
        make_pair(high.patcher, low.patcher, paths_of(low.record.file))
        text = f"high noise: {summary(high.record)}\n\nlow noise: {summary(low.record)}"
        return io.NodeOutput(high.model, low.model, ui=ui.PreviewText(show(text, cls.hidden and cls.hidden.unique_id)))

    @classmethod
    def fingerprint_inputs(cls, **values: str) -> str:
        def ask() -> tuple[list[Request], list[str]]:
            requests = cls._requests(**values)
            return requests, [part for request in requests for part in paths_of(request.path)]

        return fingerprint(ask)


def _pair(high: str | None, low: str | None, formats: list[str]) -> tuple[str, str]:
    picked = {expert: folders.full_path("dit", name) for expert, name in ((HIGH, high), (LOW, low)) if name}
    found = dict(picked)
    for expert, other in ((HIGH, LOW), (LOW, HIGH)):
        if expert not in found:
            beside = counterpart(picked[other]) if other in picked else None
            identity = identify_path(beside) if beside else None
            # Two float experts are quantized while they load, as the picked one is.
            fits = identity and identity.component == "dit" and (identity.is_read_as(formats) or identity == identify_path(picked[other]))
            found[expert] = beside if fits else folders.checkpoint_path("dit", None, formats, expert)
    check_pair(found[HIGH], found[LOW])
    return found[HIGH], found[LOW]
