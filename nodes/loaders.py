"""The three loaders: a quantized checkpoint, or a float one and a scheme, in, a plain MODEL, CLIP or CLIP_VISION out."""

from typing import ClassVar

from comfy_api.latest import io, ui

from ..bridge import folders
from ..bridge.request import Request, requested
from ..bridge.status import show
from ..loaders.storage import paths_of
from ..schemes import AUTO
from . import inputs
from .fingerprint import fingerprint
from .language import in_language
from .running import Account, set_up


class _Loader(io.ComfyNode):
    """What the loaders share; a subclass names its component and its texts."""

    component: ClassVar[str]

    @classmethod
    def _schema(cls, node_id: str, title: str, what: str, output: io.Output, *more: io.Input) -> io.Schema:
        return io.Schema(
            node_id=node_id,
            display_name=title,
            category="LightQuant/loaders",
            description=f"{what} The scheme picks the kernel that multiplies; the file's format decides which schemes fit.",
            search_aliases=["lightx2v", "quantized", "fp8", "int8", "wan"],
            inputs=[
                inputs.scheme(),
                inputs.found(
                    "checkpoint",
                    folders.checkpoint_names(cls.component),
                    "find it: takes the one file in ComfyUI's folders that fits, and says which. "
                    "A float file that is picked is quantized while it loads, to the scheme's format.",
                ),
                inputs.dtype(),
                inputs.missing_kernel(),
                *more,
            ],
            outputs=[output],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(cls, **values: str) -> io.NodeOutput:
        from ..bridge.load import load, summary

        loaded = load(requested(cls.component, **values))
        text = show(summary(loaded.record), cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(loaded.model, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, **values: str) -> str:
        def ask() -> tuple[Request, list[str]]:
            request = requested(cls.component, **values)
            files = [*paths_of(request.path), *([request.tokenizer] if request.tokenizer else [])]
            if cls.component == "t5" and request.tokenizer is None:
                files += folders.spiece_models_for(request.path)
            return request, files

        return fingerprint(ask)


class LoadDiT(_Loader):
    component = "dit"

    @classmethod
    def define_schema(cls) -> io.Schema:
        what = "Loads a quantized Wan diffusion model in LightX2V's files as a MODEL."
        return cls._schema("LightQuantLoadDiT", "Load Quantized DiT", what, io.Model.Output(), inputs.attention(), inputs.blocks())

    @classmethod
    @in_language
    def execute(cls, attention: str = AUTO, blocks: str = AUTO, **values: str) -> io.NodeOutput:
        from ..bridge.load import load, summary

        account = Account(cls.hidden and cls.hidden.unique_id)
        loaded = load(requested(cls.component, **values))
        said = set_up(loaded.patcher, attention, blocks, account)
        text = account.say(f"{summary(loaded.record)}\n{said}")
        return io.NodeOutput(loaded.model, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, attention: str = AUTO, blocks: str = AUTO, **values: str) -> str:
        """Of the file and how it is read: what becomes of its attention and its blocks, ComfyUI sees by the inputs."""
        return super().fingerprint_inputs(**values)


class LoadT5(_Loader):
    component = "t5"

    @classmethod
    def define_schema(cls) -> io.Schema:
        what = "Loads a quantized umt5 text encoder in LightX2V's files as a CLIP of type wan."
        tokenizer = inputs.found(
            "tokenizer",
            folders.tokenizer_names(),
            "umt5's sentencepiece model. find it: from the checkpoint, from google/umt5-xxl beside it, or from another text encoder file.",
        )
        return cls._schema("LightQuantLoadT5", "Load Quantized T5 (Text Encoder)", what, io.Clip.Output(), tokenizer)


class LoadCLIP(_Loader):
    component = "clip"

    @classmethod
    def define_schema(cls) -> io.Schema:
        what = "Loads the quantized CLIP vision encoder of Wan in LightX2V's files as a CLIP_VISION."
        return cls._schema("LightQuantLoadCLIP", "Load Quantized CLIP Vision", what, io.ClipVision.Output())
