"""The three loaders: a quantized checkpoint in, a plain MODEL, CLIP or CLIP_VISION out."""

import os
from typing import ClassVar

from comfy_api.latest import io, ui

from .. import __version__
from ..bridge import folders
from ..bridge.load import DTYPES, Request, load, summary
from ..bridge.status import show
from ..errors import LightQuantError
from ..formats import FORMATS
from ..schemes import AUTO, SCHEMES

FIND = "find it"
SUBSTITUTE, STOP = "substitute", "stop"


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
                io.Combo.Input("scheme", options=[AUTO, *SCHEMES], default=AUTO, tooltip="auto: the fastest kernel for this GPU and file."),
                io.Combo.Input(
                    "checkpoint",
                    options=[FIND, *folders.file_names(cls.component)],
                    default=FIND,
                    tooltip="find it: takes the one file in ComfyUI's folders that fits, and says which.",
                ),
                io.Combo.Input("dtype", options=[AUTO, *DTYPES], default=AUTO, tooltip="The dtype of everything that is not quantized."),
                io.Combo.Input(
                    "missing_kernel",
                    options=[SUBSTITUTE, STOP],
                    default=SUBSTITUTE,
                    tooltip="When the scheme's kernel can't run here: run another one of the same format, or stop with the reason.",
                ),
                *more,
            ],
            outputs=[output],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def _request(cls, scheme: str, checkpoint: str, dtype: str, missing_kernel: str, tokenizer: str = FIND) -> Request:
        formats = [SCHEMES[scheme].format] if scheme in SCHEMES else list(FORMATS)
        return Request(
            component=cls.component,
            path=folders.checkpoint_path(cls.component, None if checkpoint == FIND else checkpoint, formats),
            scheme=scheme,
            dtype=dtype,
            may_substitute=missing_kernel == SUBSTITUTE,
            tokenizer=None if tokenizer == FIND else folders.tokenizer_path(tokenizer),
        )

    @classmethod
    def execute(cls, **inputs: str) -> io.NodeOutput:
        loaded = load(cls._request(**inputs))
        text = summary(loaded.record)
        show(text, cls.hidden and cls.hidden.unique_id)
        return io.NodeOutput(loaded.model, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(cls, **inputs: str) -> str:
        """Changes when a file behind the inputs does, and with nothing else."""
        try:
            request = cls._request(**inputs)
            files = [path for path in (request.path, request.tokenizer) if path]
            if cls.component == "t5" and request.tokenizer is None:
                files += folders.spiece_models_for(request.path)
            return repr((__version__, request, [(os.path.getsize(path), os.path.getmtime(path)) for path in files]))
        except (LightQuantError, OSError) as problem:
            return f"{__version__}: {problem}"  # execute raises it again, on the node


class LoadDiT(_Loader):
    component = "dit"

    @classmethod
    def define_schema(cls) -> io.Schema:
        what = "Loads a quantized Wan diffusion model in LightX2V's files as a MODEL."
        return cls._schema("LightQuantLoadDiT", "Load Quantized DiT", what, io.Model.Output())


class LoadT5(_Loader):
    component = "t5"

    @classmethod
    def define_schema(cls) -> io.Schema:
        what = "Loads a quantized umt5 text encoder in LightX2V's files as a CLIP of type wan."
        tokenizer = io.Combo.Input(
            "tokenizer",
            options=[FIND, *folders.tokenizer_names()],
            default=FIND,
            tooltip="umt5's sentencepiece model. find it: from the checkpoint, from google/umt5-xxl beside it, or from another text encoder file.",
        )
        return cls._schema("LightQuantLoadT5", "Load Quantized T5", what, io.Clip.Output(), tokenizer)


class LoadCLIP(_Loader):
    component = "clip"

    @classmethod
    def define_schema(cls) -> io.Schema:
        what = "Loads the quantized CLIP vision encoder of Wan in LightX2V's files as a CLIP_VISION."
        return cls._schema("LightQuantLoadCLIP", "Load Quantized CLIP", what, io.ClipVision.Output())
